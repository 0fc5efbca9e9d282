using System.Net;
using System.Net.Sockets;
using Amazon.Runtime;
using Xunit;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Stages.Tests.ObjectStores;

/// <summary>The S3 store against a server that misbehaves at the level of HTTP.</summary>
public sealed class S3ObjectStoreTests : IAsyncLifetime
{
    private static readonly byte[] Payload = [.. Enumerable.Range(0, 200_000).Select(i => (byte)(i * 31))];

    private S3Stub? _stub;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private S3Stub Stub => _stub!;

    public async ValueTask InitializeAsync() => _stub = await S3Stub.StartAsync();

    public ValueTask DisposeAsync() => Stub.DisposeAsync();

    [Theory]
    [InlineData(S3Misbehaviour.ShortBody, ObjectStoreErrorKind.ShortBody)]
    [InlineData(S3Misbehaviour.LongBody, ObjectStoreErrorKind.ShortBody)]
    [InlineData(S3Misbehaviour.IgnoreRange, ObjectStoreErrorKind.ShortBody)]
    [InlineData(S3Misbehaviour.CutOffBody, ObjectStoreErrorKind.Transient)]
    [InlineData(S3Misbehaviour.Reset, ObjectStoreErrorKind.Transient)]
    public async Task A_read_that_is_not_exactly_what_was_asked_for_fails(
        S3Misbehaviour misbehaviour, ObjectStoreErrorKind expected)
    {
        await using S3ObjectStore store = Open();
        Stub.Plant("p/x", Payload);
        Stub.FailNext(new S3Fault(misbehaviour));
        ObjectStoreException failure = await FailsAsync(store.ReadRangeAsync("x", 100, new byte[1000], Cancellation));
        Assert.Equal(expected, failure.Kind);

        var range = new byte[1000];
        await store.ReadRangeAsync("x", 100, range, Cancellation);
        Assert.Equal(Payload[100..1100], range);
    }

    [Theory]
    [InlineData(S3Misbehaviour.ShortBody)]
    [InlineData(S3Misbehaviour.CutOffBody)]
    public async Task A_whole_read_that_comes_short_is_never_a_shorter_object(S3Misbehaviour misbehaviour)
    {
        await using S3ObjectStore store = Open();
        Stub.Plant("p/x", Payload);
        Stub.FailNext(new S3Fault(misbehaviour));
        await FailsAsync(store.TryReadAsync("x", 1 << 20, Cancellation));
    }

    [Theory]
    [InlineData(503, "SlowDown", ObjectStoreErrorKind.Throttled)]
    [InlineData(500, "InternalError", ObjectStoreErrorKind.Transient)]
    [InlineData(409, "ConditionalRequestConflict", ObjectStoreErrorKind.Transient)]
    [InlineData(403, "AccessDenied", ObjectStoreErrorKind.Denied)]
    [InlineData(403, "RequestTimeTooSkewed", ObjectStoreErrorKind.Denied)]
    [InlineData(404, "NoSuchBucket", ObjectStoreErrorKind.StoreMissing)]
    public async Task Each_refusal_of_the_server_reaches_the_caller_of_every_call_after_one_request(
        int status, string code, ObjectStoreErrorKind expected)
    {
        await using S3ObjectStore store = Open();
        Func<Task>[] calls =
        [
            () => store.TryCreateAsync("x", Payload, Cancellation),
            () => store.WriteAsync("x", Payload, Cancellation),
            () => store.TryReadAsync("x", 1 << 20, Cancellation),
            () => store.ReadRangeAsync("x", 0, new byte[10], Cancellation),
            () => store.DeleteAsync("x", Cancellation),
            async () => await store.ListAsync("x", null, Cancellation).GetAsyncEnumerator(Cancellation).MoveNextAsync(),
        ];
        foreach (Func<Task> call in calls)
        {
            int before = Stub.Requests.Count;
            Stub.FailNext(new S3Fault(S3Misbehaviour.Answer, status, code));
            ObjectStoreException failure = await Assert.ThrowsAsync<ObjectStoreException>(call);
            Assert.Equal(expected, failure.Kind);
            Assert.Equal(1, Stub.Requests.Count - before);
        }
    }

    // The outcome of a create is unknown when its reply is lost; the next attempt meets its own object.
    [Fact]
    public async Task A_create_whose_reply_is_lost_is_transient_and_the_retry_finds_the_name_taken()
    {
        await using S3ObjectStore store = Open();
        Stub.FailNext(new S3Fault(S3Misbehaviour.LoseReply));
        ObjectStoreException failure = await FailsAsync(store.TryCreateAsync("x", Payload, Cancellation));
        Assert.Equal(ObjectStoreErrorKind.Transient, failure.Kind);
        Assert.False(await store.TryCreateAsync("x", Payload, Cancellation));
        Assert.Equal(Payload, await store.TryReadAsync("x", 1 << 20, Cancellation));
    }

    [Fact]
    public async Task A_server_that_says_nothing_is_given_up_after_the_stall_timeout()
    {
        await using S3ObjectStore store = Open(
            options => options with { StallTimeout = TimeSpan.FromMilliseconds(200) });
        Stub.Plant("p/x", Payload);
        Stub.FailNext(new S3Fault(S3Misbehaviour.Stall), times: 2);
        ObjectStoreException read = await FailsAsync(store.ReadRangeAsync("x", 0, new byte[10], Cancellation));
        ObjectStoreException create = await FailsAsync(store.TryCreateAsync("y", Payload, Cancellation));
        Assert.Equal(ObjectStoreErrorKind.Transient, read.Kind);
        Assert.Equal(ObjectStoreErrorKind.Transient, create.Kind);
    }

    [Fact]
    public async Task A_server_that_is_not_there_is_transient()
    {
        using var unused = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        unused.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        string url = $"s3://{S3Stub.Bucket}?endpoint=http://{unused.LocalEndPoint}";
        await using var store = new S3ObjectStore(
            S3StoreOptions.Parse(url), TimeProvider.System, new BasicAWSCredentials("a", "s"));
        ObjectStoreException failure = await FailsAsync(store.TryReadAsync("x", 10, Cancellation));
        Assert.Equal(ObjectStoreErrorKind.Transient, failure.Kind);
    }

    [Fact]
    public async Task Uploads_go_out_plain_conditional_and_without_waiting_for_100_continue()
    {
        await using S3ObjectStore store = Open();
        await store.TryCreateAsync("x", Payload, Cancellation);
        IReadOnlyDictionary<string, string> headers = Assert.Single(Stub.Requests).Headers;
        Assert.Equal("*", headers["If-None-Match"]);
        Assert.Equal("200000", headers["Content-Length"]);
        Assert.False(headers.ContainsKey("Expect"));
        Assert.False(headers.ContainsKey("x-amz-sdk-checksum-algorithm"));
        Assert.Equal(64, headers["x-amz-content-sha256"].Length);
    }

    [Fact]
    public async Task Foreign_names_in_the_bucket_are_not_listed()
    {
        await using S3ObjectStore store = Open();
        Stub.Plant("p/", []);
        Stub.Plant("p/folder/", []);
        Stub.Plant("p/has space", []);
        Stub.Plant("pq", []);
        Stub.Plant("p/ok", Payload);
        var found = new List<ObjectEntry>();
        await foreach (ObjectEntry entry in store.ListAsync("", null, Cancellation)) found.Add(entry);
        Assert.Equal([new ObjectEntry("ok", Payload.Length)], found);
    }

    [Fact]
    public async Task The_probe_refuses_a_server_that_ignores_the_condition()
    {
        await using S3ObjectStore store = Open();
        Stub.IgnoresCondition = true;
        ObjectStoreException failure =
            await FailsAsync(ConditionalWriteProbe.VerifyAsync(store, new Random(3), Cancellation));
        Assert.Equal(ObjectStoreErrorKind.Invalid, failure.Kind);
        Assert.Contains("If-None-Match", failure.Message, StringComparison.Ordinal);
        Assert.Null(await store.TryReadAsync($"probe/{ProbeName(3)}", 100, Cancellation));
    }

    [Theory]
    [InlineData("")]
    [InlineData("/a")]
    [InlineData("a/")]
    [InlineData("a//b")]
    [InlineData("../a")]
    [InlineData("a/../b")]
    [InlineData(".incoming/x")]
    [InlineData("a b")]
    [InlineData("ä")]
    public async Task Odd_keys_are_refused_without_a_request(string key)
    {
        await using S3ObjectStore store = Open();
        ObjectStoreException failure = await FailsAsync(store.TryCreateAsync(key, Payload, Cancellation));
        Assert.Equal(ObjectStoreErrorKind.Invalid, failure.Kind);
        Assert.Empty(Stub.Requests);
    }

    private static string ProbeName(int seed)
    {
        var name = new byte[16];
        new Random(seed).NextBytes(name);
        return Convert.ToHexStringLower(name);
    }

    private static Task<ObjectStoreException> FailsAsync(Task call) =>
        Assert.ThrowsAsync<ObjectStoreException>(() => call);

    private S3ObjectStore Open(Func<S3StoreOptions, S3StoreOptions>? change = null)
    {
        S3StoreOptions options = S3StoreOptions.Parse(Stub.UrlOf("p"));
        return new S3ObjectStore(
            change?.Invoke(options) ?? options, TimeProvider.System, new BasicAWSCredentials("a", "s"));
    }
}
