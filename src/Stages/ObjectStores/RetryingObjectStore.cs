using System.Runtime.CompilerServices;

namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// Adds patience to a store: repeats failed attempts as a <see cref="RetryPolicy"/> says and keeps
/// <see cref="StoreHealth"/>. Thread-safe.
/// </summary>
/// <remarks>
/// A repeated <see cref="TryCreateAsync"/> may meet what its own earlier attempt created: false means "an object of that
/// name exists", and only reading it back tells whose it is. A listing resumes after the last entry that it handed out.
/// When patience ends, the last failure is thrown as it is.
/// </remarks>
public sealed class RetryingObjectStore : IObjectStore
{
    private readonly IObjectStore _inner;
    private readonly RetryPolicy _policy;
    private readonly StoreHealth _health;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly bool _ownsInner;

    /// <summary>Puts patience around <paramref name="inner"/>, which is disposed with this store.</summary>
    /// <param name="inner">One attempt for each call.</param>
    /// <param name="policy">How patient.</param>
    /// <param name="health">Told of trouble and of its end.</param>
    /// <param name="time">Runs the waits.</param>
    /// <param name="random">Draws the jitter; used under a lock, by this store and its views alone.</param>
    public RetryingObjectStore(
        IObjectStore inner, RetryPolicy policy, StoreHealth health, TimeProvider time, Random random)
        : this(inner, policy, health, time, random, ownsInner: true)
    {
    }

    private RetryingObjectStore(
        IObjectStore inner, RetryPolicy policy, StoreHealth health, TimeProvider time, Random random, bool ownsInner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        _inner = inner;
        _policy = policy;
        _health = health;
        _time = time;
        _random = random;
        _ownsInner = ownsInner;
    }

    /// <inheritdoc/>
    public string Location => _inner.Location;

    /// <summary>
    /// The same store with another patience, sharing connections and health. Disposing the view disposes nothing.
    /// </summary>
    public RetryingObjectStore With(RetryPolicy policy) =>
        new(_inner, policy, _health, _time, _random, ownsInner: false);

    /// <inheritdoc/>
    public Task ReadRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellation) =>
        RepeatAsync(
            async token =>
            {
                await _inner.ReadRangeAsync(key, offset, destination, token);
                return true;
            },
            cancellation);

    /// <inheritdoc/>
    public Task<byte[]?> TryReadAsync(string key, int bytesMax, CancellationToken cancellation) =>
        RepeatAsync(token => _inner.TryReadAsync(key, bytesMax, token), cancellation);

    /// <inheritdoc/>
    public Task<bool> TryCreateAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation) =>
        RepeatAsync(token => _inner.TryCreateAsync(key, body, token), cancellation);

    /// <inheritdoc/>
    public Task WriteAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation) =>
        RepeatAsync(
            async token =>
            {
                await _inner.WriteAsync(key, body, token);
                return true;
            },
            cancellation);

    /// <inheritdoc/>
    public Task DeleteAsync(string key, CancellationToken cancellation) =>
        RepeatAsync(
            async token =>
            {
                await _inner.DeleteAsync(key, token);
                return true;
            },
            cancellation);

    /// <inheritdoc/>
    public async IAsyncEnumerable<ObjectEntry> ListAsync(
        string prefix, string? startAfter, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var listing = new ResumableListing(_inner, prefix, startAfter);
        try
        {
            while (await RepeatAsync(listing.MoveNextAsync, cancellation)) yield return listing.Current;
        }
        finally
        {
            await listing.DisposeAsync();
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _ownsInner ? _inner.DisposeAsync() : ValueTask.CompletedTask;

    private async Task<T> RepeatAsync<T>(Func<CancellationToken, Task<T>> attempt, CancellationToken cancellation)
    {
        var streak = default(RetryStreak);
        for (int failures = 1; ; failures++)
        {
            long started = _time.GetTimestamp();
            TimeSpan wait;
            try
            {
                T result = await AttemptAsync(attempt, cancellation);
                _health.ReportSuccess();
                return result;
            }
            catch (ObjectStoreException failure)
            {
                _health.ReportFailure(failure, failures);
                TimeSpan? bound = streak.Add(failure.Kind, started, _policy, _time);
                if (bound is null) throw;
                wait = Jittered(bound.Value);
            }

            await Task.Delay(wait, _time, cancellation);
        }
    }

    private async Task<T> AttemptAsync<T>(Func<CancellationToken, Task<T>> attempt, CancellationToken cancellation)
    {
        if (_policy.AttemptTimeout == Timeout.InfiniteTimeSpan) return await attempt(cancellation);

        using var timeout = new CancellationTokenSource(_policy.AttemptTimeout, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellation);
        try
        {
            return await attempt(either.Token);
        }
        catch (OperationCanceledException late) when (!cancellation.IsCancellationRequested)
        {
            throw new ObjectStoreException(
                ObjectStoreErrorKind.Transient,
                $"{Location} did not answer within {_policy.AttemptTimeout.TotalSeconds:F0} s.",
                late);
        }
    }

    private TimeSpan Jittered(TimeSpan bound)
    {
        lock (_random) return bound * _random.NextDouble();
    }
}
