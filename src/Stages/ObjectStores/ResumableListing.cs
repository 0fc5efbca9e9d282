namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// A listing that can be asked for its next entry again after a failure. Used by one caller at a time.
/// </summary>
internal sealed class ResumableListing(IObjectStore store, string prefix, string? startAfter) : IAsyncDisposable
{
    private IAsyncEnumerator<ObjectEntry>? _entries;
    private CancellationTokenSource? _cancellation;
    private string? _last = startAfter;

    public ObjectEntry Current { get; private set; }

    /// <summary>Goes to the next entry, after a failure with a fresh listing that begins behind the last one.</summary>
    public async Task<bool> MoveNextAsync(CancellationToken cancellation)
    {
        if (_entries is null)
        {
            // The listing outlives this call, and so must the token that it was begun with.
            _cancellation = new CancellationTokenSource();
            _entries = store.ListAsync(prefix, _last, _cancellation.Token).GetAsyncEnumerator(CancellationToken.None);
        }

        try
        {
            await using CancellationTokenRegistration registration = cancellation.UnsafeRegister(
                static source => ((CancellationTokenSource)source!).Cancel(), _cancellation);
            if (!await _entries.MoveNextAsync()) return false;
            Current = _entries.Current;
            _last = Current.Key;
            return true;
        }
        catch
        {
            await DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_entries is not null) await _entries.DisposeAsync();
        _entries = null;
        _cancellation?.Dispose();
        _cancellation = null;
    }
}
