using Xunit;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.TestKit.Time;

namespace ZeroFlow.Stages.Tests.ObjectStores;

public sealed class DirectoryObjectStoreTests : IDisposable
{
    private readonly DirectoryInfo _place = Directory.CreateTempSubdirectory("zeroflow-dir-");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private string Root => Path.Combine(_place.FullName, "store");

    public void Dispose() => _place.Delete(recursive: true);

    [Fact]
    public async Task The_root_is_made_when_its_parent_exists()
    {
        await using (DirectoryObjectStore store = Open()) await store.WriteAsync("a/b", new byte[3], Cancellation);
        await using DirectoryObjectStore again = Open();
        Assert.Equal(3, (await again.TryReadAsync("a/b", 10, Cancellation))!.Length);
    }

    [Fact]
    public void A_root_without_a_parent_is_a_missing_store()
    {
        ObjectStoreException failure = Assert.Throws<ObjectStoreException>(
            () => DirectoryObjectStore.Open(Path.Combine(Root, "deeper"), TimeProvider.System));
        Assert.Equal(ObjectStoreErrorKind.StoreMissing, failure.Kind);
        Assert.Contains(Root, failure.Message, StringComparison.Ordinal);
    }

    // A store whose directory was unmounted or removed must not look like an empty one, or the chain would end at zero.
    [Fact]
    public async Task A_root_that_vanished_is_a_missing_store_and_is_not_made_again()
    {
        await using DirectoryObjectStore store = Open();
        Directory.Delete(Root, recursive: true);
        Func<Task>[] calls =
        [
            () => store.TryReadAsync("a/b", 10, Cancellation),
            () => store.ReadRangeAsync("a/b", 0, new byte[1], Cancellation),
            () => store.TryCreateAsync("a/b", new byte[1], Cancellation),
            () => store.TryCreateAsync("a", new byte[1], Cancellation),
            () => store.WriteAsync("a/b", new byte[1], Cancellation),
            () => store.DeleteAsync("a/b", Cancellation),
            async () => await store.ListAsync("", null, Cancellation).GetAsyncEnumerator(Cancellation).MoveNextAsync(),
        ];
        foreach (Func<Task> call in calls)
        {
            ObjectStoreException failure = await Assert.ThrowsAsync<ObjectStoreException>(call);
            Assert.Equal(ObjectStoreErrorKind.StoreMissing, failure.Kind);
        }

        Assert.False(Directory.Exists(Root));
    }

    [Fact]
    public async Task What_a_crash_leaves_is_not_listed_and_old_leftovers_go_at_the_next_open()
    {
        await using (DirectoryObjectStore store = Open()) await store.WriteAsync("kept", new byte[1], Cancellation);
        string incoming = Path.Combine(Root, ".incoming");
        string old = Path.Combine(incoming, "999-old-1");
        string fresh = Path.Combine(incoming, "999-fresh-2");
        await File.WriteAllBytesAsync(old, new byte[100], Cancellation);
        await File.WriteAllBytesAsync(fresh, new byte[100], Cancellation);
        File.SetLastWriteTimeUtc(old, DateTime.UtcNow - TimeSpan.FromHours(3));

        await using DirectoryObjectStore reopened = Open();
        var keys = new List<string>();
        await foreach (ObjectEntry entry in reopened.ListAsync("", null, Cancellation)) keys.Add(entry.Key);
        Assert.Equal(["kept"], keys);
        Assert.False(File.Exists(old));
        Assert.True(File.Exists(fresh));
    }

    [Fact]
    public async Task Successful_and_refused_calls_leave_no_temporary_files()
    {
        await using DirectoryObjectStore store = Open();
        await store.TryCreateAsync("x", new byte[10], Cancellation);
        await store.TryCreateAsync("x", new byte[10], Cancellation);
        await store.WriteAsync("x", new byte[10], Cancellation);
        Assert.Empty(Directory.GetFiles(Path.Combine(Root, ".incoming")));
    }

    [Fact]
    public async Task A_removed_temporary_directory_costs_one_attempt()
    {
        await using DirectoryObjectStore store = Open();
        Directory.Delete(Path.Combine(Root, ".incoming"));
        ObjectStoreException failure =
            await Assert.ThrowsAsync<ObjectStoreException>(() => store.WriteAsync("x", new byte[1], Cancellation));
        Assert.Equal(ObjectStoreErrorKind.Transient, failure.Kind);
        await store.WriteAsync("x", new byte[1], Cancellation);
    }

    // The one file system that is full everywhere.
    [Fact]
    public void A_full_file_system_is_said_to_be_full()
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "/dev/full does not exist here");
        IOException error = Assert.Throws<IOException>(() => File.WriteAllBytes("/dev/full", new byte[1 << 16]));
        Assert.Equal(ObjectStoreErrorKind.Full, DirectoryErrors.KindOf(error, rootExists: true));
    }

    [Theory]
    [InlineData(28, ObjectStoreErrorKind.Full)]
    [InlineData(122, ObjectStoreErrorKind.Full)]
    [InlineData(13, ObjectStoreErrorKind.Denied)]
    [InlineData(1, ObjectStoreErrorKind.Denied)]
    [InlineData(30, ObjectStoreErrorKind.Denied)]
    [InlineData(20, ObjectStoreErrorKind.Invalid)]
    [InlineData(36, ObjectStoreErrorKind.Invalid)]
    [InlineData(5, ObjectStoreErrorKind.Transient)]
    [InlineData(24, ObjectStoreErrorKind.Transient)]
    [InlineData(2, ObjectStoreErrorKind.Transient)]
    public void An_errno_is_classified(int errno, ObjectStoreErrorKind expected) =>
        Assert.Equal(expected, DirectoryErrors.KindOf(new IOException("x", errno), rootExists: true));

    [Fact]
    public async Task Two_stores_over_one_directory_exclude_each_other()
    {
        await using DirectoryObjectStore one = Open();
        await using DirectoryObjectStore other = Open();
        Assert.True(await one.TryCreateAsync("chain/1", new byte[1], Cancellation));
        Assert.False(await other.TryCreateAsync("chain/1", new byte[2], Cancellation));
    }

    [Fact]
    public async Task The_clock_only_names_files_so_that_a_manual_one_will_do()
    {
        await using var store = DirectoryObjectStore.Open(Root, new ManualTimeProvider());
        Assert.True(await store.TryCreateAsync("a", new byte[1], Cancellation));
        Assert.True(await store.TryCreateAsync("b", new byte[1], Cancellation));
    }

    private DirectoryObjectStore Open() => DirectoryObjectStore.Open(Root, TimeProvider.System);
}
