using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace ZeroFlow.Nbd.Tls;

/// <summary>Reads certificates and keys from PEM files, and says in one sentence why it cannot.</summary>
public static class TlsFiles
{
    private const UnixFileMode Others =
        UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;

    // A chain of ten certificates takes 20 KiB, a bundle of all public authorities 250 KiB.
    private const long FileBytesMax = 1024 * 1024;

    /// <summary>Fails unless a server can prove with the file that it is somebody.</summary>
    /// <exception cref="IOException">There is no such file, or no certificate in it.</exception>
    public static void CheckCertificate(string path) => DisposeAll(ParseCertificates(ReadText(path), path));

    /// <summary>Fails unless the file has the key of the certificate, for its owner's eyes only.</summary>
    /// <exception cref="IOException">There is no such file, others can read it, or it is another key.</exception>
    public static void CheckKey(string path, string certificatePath)
    {
        string key = ReadKeyText(path);
        ParseIdentity(ReadText(certificatePath), key, path).Dispose();
    }

    /// <summary>Fails unless the file has an authority that certificates of clients can lead to.</summary>
    /// <exception cref="IOException">There is no such file, or no root certificate in it.</exception>
    public static void CheckAuthority(string path) => DisposeAll(ParseAuthorities(ReadText(path), path));

    internal static string ReadText(string path)
    {
        try
        {
            return new FileInfo(path).Length <= FileBytesMax
                ? File.ReadAllText(path)
                : throw new IOException($"The file {path} is larger than 1 MiB and cannot be a PEM file of certificates.");
        }
        catch (Exception fault) when (fault is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new IOException($"The file {path} does not exist.", fault);
        }
        catch (UnauthorizedAccessException fault)
        {
            throw new IOException($"The file {path} cannot be read: {fault.Message}", fault);
        }
    }

    internal static string ReadKeyText(string path)
    {
        string text = ReadText(path);
        if ((File.GetUnixFileMode(path) & Others) == 0) return text;
        throw new IOException(
            $"The key file {path} can be read or written by others; allow only its owner: chmod 600 {path}");
    }

    internal static X509Certificate2Collection ParseCertificates(string text, string path)
    {
        var certificates = new X509Certificate2Collection();
        try
        {
            certificates.ImportFromPem(text);
        }
        catch (CryptographicException fault)
        {
            throw new IOException($"The file {path} has a certificate that cannot be read: {fault.Message}", fault);
        }

        return certificates.Count > 0
            ? certificates
            : throw new IOException($"The file {path} has no certificate in PEM (-----BEGIN CERTIFICATE-----).");
    }

    internal static X509Certificate2Collection ParseAuthorities(string text, string path)
    {
        X509Certificate2Collection authorities = ParseCertificates(text, path);
        if (authorities.Any(IsRoot)) return authorities;
        DisposeAll(authorities);
        throw new IOException($"The file {path} has no root certificate: that of the authority itself, signed by itself.");
    }

    internal static X509Certificate2 ParseIdentity(string certificateText, string keyText, string keyPath)
    {
        try
        {
            return X509Certificate2.CreateFromPem(certificateText, keyText);
        }
        catch (Exception fault) when (fault is CryptographicException or ArgumentException)
        {
            string reason = fault.Message.ReplaceLineEndings(" ");
            throw new IOException(
                $"The file {keyPath} does not have the private key of the certificate, in PEM and not encrypted: {reason}",
                fault);
        }
    }

    private static bool IsRoot(X509Certificate2 certificate) =>
        certificate.SubjectName.RawData.AsSpan().SequenceEqual(certificate.IssuerName.RawData);

    private static void DisposeAll(X509Certificate2Collection certificates)
    {
        foreach (X509Certificate2 certificate in certificates) certificate.Dispose();
    }
}
