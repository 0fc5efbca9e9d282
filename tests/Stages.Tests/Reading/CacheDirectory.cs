using Microsoft.Extensions.Logging;

namespace ZeroFlow.Stages.Tests.Reading;

/// <summary>A directory of a test's own, gone afterwards.</summary>
internal sealed class CacheDirectory : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("zeroflow-cache-").FullName;

    public string[] Files => Directory.GetFiles(Path);

    /// <summary>Bytes of the files; one that is deleted meanwhile counts as empty.</summary>
    public long Bytes => new DirectoryInfo(Path).EnumerateFiles().Sum(LengthOf);

    private static long LengthOf(FileInfo file)
    {
        try
        {
            return file.Length;
        }
        catch (FileNotFoundException)
        {
            return 0;
        }
    }

    public void Dispose()
    {
        // A cache in use may make another file while the directory is being emptied.
        for (int attempt = 0; Directory.Exists(Path); attempt++)
        {
            try
            {
                Directory.Delete(Path, recursive: true);
            }
            catch (IOException) when (attempt < 100)
            {
                // Another round.
            }
        }
    }
}

/// <summary>Counts warnings.</summary>
internal sealed class CountingLog : ILogger
{
    private int _warnings;

    public int Warnings => Volatile.Read(ref _warnings);

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception,
        Func<TState, Exception?, string> formatter)
    {
        if (logLevel >= LogLevel.Warning) Interlocked.Increment(ref _warnings);
    }
}
