using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using ZeroFlow.Host.Configuration;

namespace ZeroFlow.Host.Control;

/// <summary>
/// The secret that lets somebody change the store over the admin address: whoever can read the file may. Made anew when
/// the file is missing; nothing is lost with it.
/// </summary>
internal sealed class AdminToken
{
    /// <summary>The file's name in the data directory, where it is unless another is named.</summary>
    public const string FileName = "admin.token";

    private const int RandomBytes = 32;

    private readonly byte[] _digest;

    /// <summary>Makes one of a text that is known already.</summary>
    public AdminToken(string token) => _digest = SHA256.HashData(Encoding.UTF8.GetBytes(token));

    /// <summary>Reads the token of a file, or makes a file with one that its owner alone can read.</summary>
    /// <exception cref="IOException">
    /// The file cannot be read or made, or others could read or write it; the message is one sentence.
    /// </exception>
    public static AdminToken ReadOrCreate(string path)
    {
        if (PrivateFile.Read("The admin token", path)?.Trim() is { Length: > 0 } known) return new AdminToken(known);
        string token = Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(RandomBytes));
        try
        {
            PrivateFile.Create(path, Encoding.ASCII.GetBytes(token), overwrites: true);
        }
        catch (Exception fault) when (fault is UnauthorizedAccessException or IOException)
        {
            throw new IOException($"The admin token {path} cannot be made: {fault.Message}", fault);
        }

        return new AdminToken(token);
    }

    /// <summary>The token in a file; null when there is no such file.</summary>
    public static string? Read(string path) => File.Exists(path) ? File.ReadAllText(path).Trim() : null;

    /// <summary>True for the token itself, in a time that says nothing about it.</summary>
    public bool Matches(string token) =>
        CryptographicOperations.FixedTimeEquals(_digest, SHA256.HashData(Encoding.UTF8.GetBytes(token)));
}
