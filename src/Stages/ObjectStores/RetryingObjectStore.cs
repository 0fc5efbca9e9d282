using System.Diagnostics;
using System.Runtime.CompilerServices;
using ZeroFlow.Pipeline.Telemetry;

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
    private readonly ObjectRequestLog? _requests;
    private readonly ObjectPurpose _purpose;
    private readonly bool _ownsInner;

    /// <summary>Puts patience around <paramref name="inner"/>, which is disposed with this store.</summary>
    /// <param name="inner">One attempt for each call.</param>
    /// <param name="policy">How patient.</param>
    /// <param name="health">Told of trouble and of its end.</param>
    /// <param name="time">Runs the waits.</param>
    /// <param name="random">Draws the jitter; used under a lock, by this store and its views alone.</param>
    /// <param name="requests">Told of each attempt, if somebody watches.</param>
    public RetryingObjectStore(
        IObjectStore inner, RetryPolicy policy, StoreHealth health, TimeProvider time, Random random,
        ObjectRequestLog? requests = null)
        : this(inner, policy, health, time, random, requests, ObjectPurpose.Open, ownsInner: true)
    {
    }

    private RetryingObjectStore(
        IObjectStore inner, RetryPolicy policy, StoreHealth health, TimeProvider time, Random random,
        ObjectRequestLog? requests, ObjectPurpose purpose, bool ownsInner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        _inner = inner;
        _policy = policy;
        _health = health;
        _time = time;
        _random = random;
        _requests = requests;
        _purpose = purpose;
        _ownsInner = ownsInner;
    }

    /// <inheritdoc/>
    public string Location => _inner.Location;

    /// <summary>
    /// The same store with another patience and purpose, sharing connections and health. Disposing the view disposes
    /// nothing.
    /// </summary>
    public RetryingObjectStore With(RetryPolicy policy, ObjectPurpose purpose) =>
        new(_inner, policy, _health, _time, _random, _requests, purpose, ownsInner: false);

    /// <inheritdoc cref="With(RetryPolicy, ObjectPurpose)"/>
    public RetryingObjectStore For(ObjectPurpose purpose) => With(_policy, purpose);

    /// <inheritdoc/>
    public Task ReadRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellation) =>
        RepeatAsync(
            new Attempted(ObjectRequestKind.Range, key, offset, destination.Length),
            async token =>
            {
                await _inner.ReadRangeAsync(key, offset, destination, token);
                return true;
            },
            cancellation);

    /// <inheritdoc/>
    public Task<byte[]?> TryReadAsync(string key, int bytesMax, CancellationToken cancellation) =>
        RepeatAsync(new Attempted(ObjectRequestKind.Get, key), token => _inner.TryReadAsync(key, bytesMax, token), cancellation);

    /// <inheritdoc/>
    public Task<bool> TryCreateAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation) =>
        RepeatAsync(
            new Attempted(ObjectRequestKind.Create, key, 0, body.Length), token => _inner.TryCreateAsync(key, body, token), cancellation);

    /// <inheritdoc/>
    public Task WriteAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation) =>
        RepeatAsync(
            new Attempted(ObjectRequestKind.Write, key, 0, body.Length),
            async token =>
            {
                await _inner.WriteAsync(key, body, token);
                return true;
            },
            cancellation);

    /// <inheritdoc/>
    public Task DeleteAsync(string key, CancellationToken cancellation) =>
        RepeatAsync(
            new Attempted(ObjectRequestKind.Delete, key),
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
            // Each page is a request; the entries within one are there already.
            for (int entry = 0; ; entry++)
            {
                bool isPage = entry % MeteredObjectStore.EntriesPerListRequest == 0;
                var attempted = new Attempted(ObjectRequestKind.List, prefix, IsSilent: !isPage);
                if (!await RepeatAsync(attempted, listing.MoveNextAsync, cancellation)) break;
                yield return listing.Current;
            }
        }
        finally
        {
            await listing.DisposeAsync();
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _ownsInner ? _inner.DisposeAsync() : ValueTask.CompletedTask;

    private async Task<T> RepeatAsync<T>(
        Attempted attempted, Func<CancellationToken, Task<T>> attempt, CancellationToken cancellation)
    {
        var streak = default(RetryStreak);
        for (int failures = 1; ; failures++)
        {
            long started = _time.GetTimestamp();
            TimeSpan wait;
            using Activity? part = BeginPart(attempted, failures);
            try
            {
                T result = await AttemptAsync(attempt, cancellation);
                _health.ReportSuccess();
                if (_requests is { IsWatched: true }) Tell(attempted, started, failures, OutcomeOf(result), bytes: (result as byte[])?.Length);
                return result;
            }
            catch (ObjectStoreException failure)
            {
                _health.ReportFailure(failure, failures);
                part?.SetStatus(ActivityStatusCode.Error, failure.Message);
                part?.Stop();
                if (_requests is { IsWatched: true })
                    Tell(attempted with { IsSilent = false }, started, failures, MeteredObjectStore.ResultOf(failure.Kind), failure.Message);
                TimeSpan? bound = streak.Add(failure.Kind, started, _policy, _time);
                if (bound is null) throw;
                wait = Jittered(bound.Value);
            }
            catch (OperationCanceledException)
            {
                if (_requests is { IsWatched: true }) Tell(attempted, started, failures, "cancelled");
                throw;
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

    private void Tell(in Attempted attempted, long started, int attempt, string outcome, string? error = null, long? bytes = null)
    {
        if (attempted.IsSilent) return;
        TimeSpan took = _time.GetElapsedTime(started);
        _requests!.Add(new ObjectRequest(
            _time.GetUtcNow() - took, attempted.Kind, _purpose, attempted.Key, attempted.Offset, bytes ?? attempted.Bytes, took, attempt,
            outcome, error));
    }

    private static Activity? BeginPart(in Attempted attempted, int attempt)
    {
        if (attempted.IsSilent || PipelineTraces.BeginPart(NameOf(attempted.Kind), ActivityKind.Client) is not { } part) return null;
        return part.SetTag("zeroflow.key", attempted.Key).SetTag("zeroflow.bytes", attempted.Bytes).SetTag("zeroflow.attempt", attempt);
    }

    private static string NameOf(ObjectRequestKind kind) => kind switch
    {
        ObjectRequestKind.Create => "store create",
        ObjectRequestKind.Write => "store write",
        ObjectRequestKind.Get => "store get",
        ObjectRequestKind.Range => "store range",
        ObjectRequestKind.List => "store list",
        _ => "store delete",
    };

    private static string OutcomeOf<T>(T result) => result switch
    {
        null => "missing",
        false => "exists",
        _ => "ok",
    };

    private TimeSpan Jittered(TimeSpan bound)
    {
        lock (_random) return bound * _random.NextDouble();
    }

    // What an attempt is told as; silent ones ask for nothing of their own.
    private readonly record struct Attempted(
        ObjectRequestKind Kind, string Key, long Offset = 0, long Bytes = 0, bool IsSilent = false);
}
