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
    /// <summary>The file's name in the data directory.</summary>
    public const string FileName = "admin.token";

    private const int RandomBytes = 32;

    private readonly byte[] _digest;

    private AdminToken(string token) => _digest = SHA256.HashData(Encoding.UTF8.GetBytes(token));

    /// <summary>Reads the token of a data directory, or makes one that its owner alone can read.</summary>
    /// <exception cref="IOException">The file cannot be read or made; the message is one sentence.</exception>
    public static AdminToken ReadOrCreate(string dataDirectory)
    {
        string path = Path.Combine(dataDirectory, FileName);
        try
        {
            if (Read(path) is { Length: > 0 } known) return new AdminToken(known);
            Directory.CreateDirectory(dataDirectory);
            string token = Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(RandomBytes));
            PrivateFile.Create(path, Encoding.ASCII.GetBytes(token), overwrites: true);
            return new AdminToken(token);
        }
        catch (UnauthorizedAccessException fault)
        {
            throw new IOException($"The admin token {path} cannot be read or made: {fault.Message}", fault);
        }
    }

    /// <summary>The token in a file; null when there is no such file.</summary>
    public static string? Read(string path) => File.Exists(path) ? File.ReadAllText(path).Trim() : null;

    /// <summary>True for the token itself, in a time that says nothing about it.</summary>
    public bool Matches(string token) =>
        CryptographicOperations.FixedTimeEquals(_digest, SHA256.HashData(Encoding.UTF8.GetBytes(token)));
}
