namespace ZeroFlow.Host.Configuration;

/// <summary>
/// What is served when no store is named: everything below one directory, made at first use, with a passphrase of its
/// own. A way to try the server out, and a store like any other.
/// </summary>
internal sealed class EmbeddedDefault(string workingDirectory)
{
    /// <summary>The export that is made in a store that has none.</summary>
    public static readonly ExportSpec FirstExport = new("disk0", 10L << 30, Pipeline.Device.DurabilityLevel.Journaled);

    /// <summary>The directory of everything.</summary>
    public string BaseDirectory { get; } = Path.Combine(Path.GetFullPath(workingDirectory), "zeroflow-data");

    /// <summary>The object store.</summary>
    public string StoreDirectory => Path.Combine(BaseDirectory, "store");

    /// <summary>The object store as a URL.</summary>
    public string StoreUrl => new Uri(StoreDirectory).AbsoluteUri;

    /// <summary>WAL and disk cache.</summary>
    public string DataDirectory => Path.Combine(BaseDirectory, "data");

    /// <summary>The generated passphrase.</summary>
    public string PassphraseFile => Path.Combine(BaseDirectory, "passphrase");

    /// <summary>
    /// Makes what is missing and returns the passphrase: <paramref name="given"/> when there is one, otherwise that of
    /// the file, which is made together with the store.
    /// </summary>
    /// <exception cref="IOException">Something cannot be made or read; the message is one sentence.</exception>
    public Secret Prepare(Secret? given)
    {
        try
        {
            CreatePrivateDirectory(BaseDirectory);
            Secret passphrase = given ?? ReadOrCreatePassphrase();
            CreatePrivateDirectory(StoreDirectory);
            CreatePrivateDirectory(DataDirectory);
            return passphrase;
        }
        catch (UnauthorizedAccessException fault)
        {
            throw new IOException(
                $"The embedded default cannot be made in {BaseDirectory}: {fault.Message} "
                + "Run it where you may write, or name a store with --store and --data.",
                fault);
        }
    }

    private Secret ReadOrCreatePassphrase()
    {
        if (File.Exists(PassphraseFile)) return PassphraseSource.ReadFile(PassphraseFile);

        // A fresh passphrase beside an old store would only hide that the right one is gone.
        if (Directory.Exists(StoreDirectory) && Directory.EnumerateFileSystemEntries(StoreDirectory).Any())
        {
            throw new IOException(
                $"The passphrase file {PassphraseFile} is missing, but {StoreDirectory} holds a store: put the "
                + $"file back or set {PassphraseSource.Variable}.");
        }

        // It must be on stable storage before the first byte that needs it.
        PrivateFile.CreateRandom(PassphraseFile);
        return PassphraseSource.ReadFile(PassphraseFile);
    }

    private static void CreatePrivateDirectory(string path)
    {
        if (Directory.Exists(path)) return;
        Directory.CreateDirectory(
            path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        DirectorySync.Sync(Path.GetDirectoryName(path)!);
    }
}
