using System.Globalization;
using Xunit;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Tests.ObjectStores;

/// <summary>What every object store promises; each kind of store runs all of it.</summary>
public abstract class ObjectStoreContract : IAsyncLifetime
{
    private IObjectStore? _store;

    protected static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private IObjectStore Store => _store!;

    public async ValueTask InitializeAsync() => _store = await OpenEmptyStoreAsync();

    public async ValueTask DisposeAsync()
    {
        if (_store is not null) await _store.DisposeAsync();
        await CleanUpAsync();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task A_created_object_reads_back_whole_and_in_ranges()
    {
        byte[] body = Body(300_000, seed: 1);
        Assert.True(await Store.TryCreateAsync("chain/0001/0000000001", body, Cancellation));

        Assert.Equal(body, await Store.TryReadAsync("chain/0001/0000000001", 300_000, Cancellation));
        var range = new byte[100_000];
        await Store.ReadRangeAsync("chain/0001/0000000001", 150_000, range, Cancellation);
        Assert.Equal(body[150_000..250_000], range);
        await Store.ReadRangeAsync("chain/0001/0000000001", 299_999, range.AsMemory(0, 1), Cancellation);
        Assert.Equal(body[^1], range[0]);
    }

    [Fact]
    public async Task A_second_create_of_one_name_is_refused_and_changes_nothing()
    {
        Assert.True(await Store.TryCreateAsync("a", Body(1000, seed: 1), Cancellation));
        Assert.False(await Store.TryCreateAsync("a", Body(2000, seed: 2), Cancellation));
        Assert.Equal(Body(1000, seed: 1), await Store.TryReadAsync("a", 5000, Cancellation));
    }

    // The fence rests on this: whatever the timing, one creator wins and its body is the one that is stored.
    [Fact]
    public async Task Of_eight_racing_creators_exactly_one_wins_and_its_body_is_stored()
    {
        for (int round = 0; round < 5; round++)
        {
            string key = $"race/{round}";
            using var start = new SemaphoreSlim(0);
            Task<bool>[] racers =
            [
                .. Enumerable.Range(0, 8).Select(async racer =>
                {
                    await start.WaitAsync(Cancellation);
                    return await CreatePatientlyAsync(key, Body(64 * 1024, seed: racer));
                }),
            ];
            start.Release(8);
            bool[] won = await Task.WhenAll(racers);

            Assert.Single(won, true);
            byte[] expected = Body(64 * 1024, seed: Array.IndexOf(won, true));
            Assert.Equal(expected, await Store.TryReadAsync(key, 64 * 1024, Cancellation));
        }
    }

    [Fact]
    public async Task Write_replaces_and_may_change_the_length()
    {
        await Store.WriteAsync("w/x", Body(5000, seed: 1), Cancellation);
        await Store.WriteAsync("w/x", Body(70, seed: 2), Cancellation);
        Assert.Equal(Body(70, seed: 2), await Store.TryReadAsync("w/x", 5000, Cancellation));
    }

    [Fact]
    public async Task An_empty_object_exists_and_reads_as_empty()
    {
        Assert.True(await Store.TryCreateAsync("empty", ReadOnlyMemory<byte>.Empty, Cancellation));
        Assert.Equal(Array.Empty<byte>(), await Store.TryReadAsync("empty", 10, Cancellation));
        Assert.False(await Store.TryCreateAsync("empty", Body(1, seed: 1), Cancellation));
    }

    [Fact]
    public async Task An_absent_object_is_null_to_a_try_and_missing_to_a_ranged_read()
    {
        Assert.Null(await Store.TryReadAsync("no/such", 10, Cancellation));
        ObjectStoreException failure = await FailsAsync(Store.ReadRangeAsync("no/such", 0, new byte[10], Cancellation));
        Assert.Equal(ObjectStoreErrorKind.ObjectMissing, failure.Kind);
        Assert.Contains("no/such", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(90, 20)]
    [InlineData(100, 1)]
    [InlineData(1000, 10)]
    public async Task A_range_past_the_end_is_a_short_body(long offset, int length)
    {
        await Store.WriteAsync("short", Body(100, seed: 1), Cancellation);
        ObjectStoreException failure =
            await FailsAsync(Store.ReadRangeAsync("short", offset, new byte[length], Cancellation));
        Assert.Equal(ObjectStoreErrorKind.ShortBody, failure.Kind);
    }

    [Fact]
    public async Task An_object_larger_than_the_reader_allows_is_refused()
    {
        await Store.WriteAsync("large", Body(101, seed: 1), Cancellation);
        ObjectStoreException failure = await FailsAsync(Store.TryReadAsync("large", 100, Cancellation));
        Assert.Equal(ObjectStoreErrorKind.Invalid, failure.Kind);
    }

    [Fact]
    public async Task A_deleted_object_is_gone_and_deleting_it_again_succeeds()
    {
        await Store.WriteAsync("d/x", Body(10, seed: 1), Cancellation);
        await Store.DeleteAsync("d/x", Cancellation);
        await Store.DeleteAsync("d/x", Cancellation);
        await Store.DeleteAsync("never/there", Cancellation);
        Assert.Null(await Store.TryReadAsync("d/x", 10, Cancellation));
        Assert.True(await Store.TryCreateAsync("d/x", Body(10, seed: 2), Cancellation));
    }

    // More keys than one page of any store, with names on both sides of '/' in byte order.
    [Fact]
    public async Task A_listing_is_in_byte_order_across_pages_and_starts_behind_a_key()
    {
        string[] names =
        [
            .. Enumerable.Range(0, 1050).Select(n => string.Create(CultureInfo.InvariantCulture, $"l/t/{n:d6}")),
            "l/t-1", "l/t.1", "l/t0", "l/T/z", "l/T", "l/ta/b/c", "l/ta.b", "l/tab",
        ];
        if (!AllowsKeyBelowKey) names = [.. names.Where(name => name != "l/T")];
        await Parallel.ForEachAsync(
            names,
            new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = Cancellation },
            async (name, token) => await Store.WriteAsync(name, Body(name.Length, seed: 1), token));
        await Store.WriteAsync("m/other", Body(1, seed: 1), Cancellation);

        Array.Sort(names, string.CompareOrdinal);
        Assert.Equal(names.Select(name => new ObjectEntry(name, name.Length)), await ListAsync("l/", null));
        Assert.Equal(
            names.Where(name => name.StartsWith("l/t/0010", StringComparison.Ordinal)),
            await KeysAsync("l/t/0010", null));
        foreach (string after in new[] { "l/t/000500", "l/t.1", "l/t/", "l/t/000500x", "a", "l/tab", "z" })
        {
            Assert.Equal(
                names.Where(name => string.CompareOrdinal(name, after) > 0), await KeysAsync("l/", after));
        }
    }

    [Fact]
    public async Task An_empty_store_lists_nothing()
    {
        Assert.Empty(await ListAsync("", null));
        Assert.Empty(await ListAsync("chain/", "chain/0001"));
    }

    [Fact]
    public async Task A_cancelled_call_has_no_effect()
    {
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => Store.TryCreateAsync("c", Body(10, seed: 1), cancelled.Token));
        Assert.Null(await Store.TryReadAsync("c", 10, Cancellation));
    }

    [Fact]
    public async Task The_probe_accepts_the_store_and_leaves_nothing_behind()
    {
        await ConditionalWriteProbe.VerifyAsync(Store, new Random(7), Cancellation);
        Assert.Empty(await ListAsync("", null));
    }

    /// <summary>False where one key cannot be another's directory.</summary>
    protected virtual bool AllowsKeyBelowKey => true;

    protected abstract Task<IObjectStore> OpenEmptyStoreAsync();

    protected virtual ValueTask CleanUpAsync() => ValueTask.CompletedTask;

    protected static byte[] Body(int length, int seed)
    {
        var body = new byte[length];
        new Random(seed).NextBytes(body);
        return body;
    }

    private static Task<ObjectStoreException> FailsAsync(Task call) =>
        Assert.ThrowsAsync<ObjectStoreException>(() => call);

    // A server may answer a racing create with "try again"; whoever won is then decided by the next attempt.
    private async Task<bool> CreatePatientlyAsync(string key, byte[] body)
    {
        while (true)
        {
            try
            {
                return await Store.TryCreateAsync(key, body, Cancellation);
            }
            catch (ObjectStoreException failure) when (failure.Kind == ObjectStoreErrorKind.Transient)
            {
                await Task.Yield();
            }
        }
    }

    private async Task<List<ObjectEntry>> ListAsync(string prefix, string? startAfter)
    {
        var entries = new List<ObjectEntry>();
        await foreach (ObjectEntry entry in Store.ListAsync(prefix, startAfter, Cancellation)) entries.Add(entry);
        return entries;
    }

    private async Task<IEnumerable<string>> KeysAsync(string prefix, string? startAfter) =>
        (await ListAsync(prefix, startAfter)).Select(entry => entry.Key);
}
