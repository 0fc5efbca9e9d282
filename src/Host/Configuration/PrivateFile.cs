namespace ZeroFlow.Host.Configuration;

/// <summary>Small files that their owner alone may read.</summary>
internal static class PrivateFile
{
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
