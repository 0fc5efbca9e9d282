using System.Buffers.Text;
using System.Security.Cryptography;

namespace ZeroFlow.Host.Configuration;

/// <summary>Small files that their owner alone may read.</summary>
internal static class PrivateFile
{
    private const int RandomBytes = 32;

    /// <summary>
    /// The text of a file that nobody but its owner may read or write, without the line ends at its end; null when there
    /// is no such file.
    /// </summary>
    /// <param name="what">What the file is, for messages: "The passphrase file".</param>
    /// <param name="path">The file, as a full path.</param>
    /// <exception cref="IOException">It cannot be read, or others could; the message is one sentence.</exception>
    public static string? Read(string what, string path)
    {
        const UnixFileMode others =
            UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;
        try
        {
            if ((File.GetUnixFileMode(path) & others) != 0)
            {
                throw new IOException(
                    $"{what} {path} can be read or written by others; allow only its owner: chmod 600 {path}");
            }

            return File.ReadAllText(path).TrimEnd('\r', '\n');
        }
        catch (Exception fault) when (fault is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (UnauthorizedAccessException fault)
        {
            throw new IOException($"{what} {path} cannot be read: {fault.Message}", fault);
        }
    }

    /// <summary>Makes a file with 32 random bytes as text, for a passphrase; refuses to replace one.</summary>
    /// <exception cref="IOException">It cannot be made, or is there.</exception>
    public static void CreateRandom(string path)
    {
        Span<byte> random = stackalloc byte[RandomBytes];
        RandomNumberGenerator.Fill(random);
        Create(path, Base64Url.EncodeToUtf8(random), overwrites: false);
    }

    /// <summary>
    /// Makes a file whole or not at all: written aside, synced, and moved into place, so that a crash leaves either no
    /// file or all of it.
    /// </summary>
    /// <param name="path">The file, as a full path.</param>
    /// <param name="line">Its one line.</param>
    /// <param name="overwrites">False refuses to replace a file that came to be meanwhile.</param>
    /// <exception cref="IOException">It cannot be made.</exception>
    public static void Create(string path, ReadOnlySpan<byte> line, bool overwrites)
    {
        string draft = path + ".new";
        File.Delete(draft);
        var options = new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        };
        using (var file = new FileStream(draft, options))
        {
            file.Write(line);
            file.WriteByte((byte)'\n');
            file.Flush(flushToDisk: true);
        }

        File.Move(draft, path, overwrites);
        DirectorySync.Sync(Path.GetDirectoryName(path)!);
    }
}
