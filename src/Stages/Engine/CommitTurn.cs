namespace ZeroFlow.Stages.Engine;

/// <summary>
/// Whose turn it is to change the committed state: the commit stage, for one table, or a checkpoint that freezes the
/// state between two tables. Thread-safe.
/// </summary>
internal sealed class CommitTurn : IDisposable
{
    private readonly SemaphoreSlim _free = new(1);

    /// <summary>Waits for the turn; disposing what comes back ends it.</summary>
    public async ValueTask<Holder> TakeAsync(CancellationToken cancellation)
    {
        await _free.WaitAsync(cancellation);
        return new Holder(_free);
    }

    public void Dispose() => _free.Dispose();

    /// <summary>The turn.</summary>
    public readonly struct Holder(SemaphoreSlim free) : IDisposable
    {
        public void Dispose() => free.Release();
    }
}
