namespace ZeroFlow.Stages.Journal;

/// <summary>
/// The directory that a WAL lives in: the seam at which a simulated disk with torn writes and lost pages comes in.
/// Failures are <see cref="IOException"/>; a full disk is a <see cref="WalDiskFullException"/>.
/// </summary>
public interface IWalDisk
{
    /// <summary>Where this is, for messages.</summary>
    string Location { get; }

    /// <summary>Names of the files in the directory, sorted.</summary>
    IReadOnlyList<string> List();

    /// <summary>
    /// Creates a file of <paramref name="sizeBytes"/> zero bytes whose blocks are allocated for good: later writes
    /// within it cannot run out of space. The file and its directory entry are durable on return.
    /// </summary>
    IWalFile Create(string name, long sizeBytes);

    /// <summary>Gives an existing file another name; durable on return. Open handles follow it.</summary>
    void Rename(string from, string to);

    /// <summary>Opens an existing file for reading and writing.</summary>
    IWalFile Open(string name);

    /// <summary>Replaces a small file atomically: after a crash it holds the old or the new content. Durable on return.</summary>
    void ReplaceSmallFile(string name, ReadOnlySpan<byte> content);

    /// <summary>Reads a small file, or null when there is none.</summary>
    byte[]? TryReadSmallFile(string name);

    /// <summary>
    /// Deletes a file; one that is not there counts as deleted. Durable on return: a torn tail that was given up must not
    /// come back beside the records that took its place. Open handles stay usable.
    /// </summary>
    void Delete(string name);

    /// <summary>Moves the named files into a fresh sibling directory and returns its path; durable on return.</summary>
    string SetAside(IReadOnlyList<string> names, string reason);
}

/// <summary>One file of a WAL. Writes of distinct ranges may run at once; each is atomic per 512-byte sector at most.</summary>
public interface IWalFile : IDisposable
{
    /// <summary>Bytes in the file.</summary>
    long Length { get; }

    /// <summary>Hands <paramref name="bytes"/> to the operating system: they survive a kill of this process.</summary>
    void Write(long offset, ReadOnlySpan<byte> bytes);

    /// <summary>Reads up to <paramref name="bytes"/>.Length bytes; fewer at the end of the file.</summary>
    int Read(long offset, Span<byte> bytes);

    /// <summary>Makes all that was written before the call stable: it survives power loss.</summary>
    void Sync();
}
