namespace ZeroFlow.SystemTests.Oracle;

/// <summary>Numbers the writes of a test over all its exports. Thread-safe.</summary>
internal sealed class Sequencer
{
    private long _last;

    public long Last => Interlocked.Read(ref _last);

    public long Next() => Interlocked.Increment(ref _last);
}
