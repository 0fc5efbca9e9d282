using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Amazon.Runtime;
using Amazon.S3;
using ZeroFlow.Host.Setup;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Host.Tests.Setup;

// What is said about a store that refuses; System.Tests do the same by the command and against radosgw.
public sealed class StoreTrialTests : IAsyncLifetime
{
    private S3Stub _stub = null!;

    public async ValueTask InitializeAsync()
    {
        Environment.SetEnvironmentVariable("AWS_ACCESS_KEY_ID", "test");
        Environment.SetEnvironmentVariable("AWS_SECRET_ACCESS_KEY", "test");
        _stub = await S3Stub.StartAsync();
    }

    public ValueTask DisposeAsync() => _stub.DisposeAsync();

    [Fact]
    public async Task A_good_store_is_measured_and_left_empty()
    {
        IReadOnlyList<Finding> findings = await TryAsync(_stub.UrlOf("pre"));
        Assert.Equal(["bucket", "conditional writes", "latency", "throughput"], findings.Select(finding => finding.What));
        Assert.All(findings, finding => Assert.True(finding.IsGood, finding.Says));
        Assert.Contains("is empty", findings[0].Says, StringComparison.Ordinal);
        await using IObjectStore store = ObjectStoreFactory.Open(
            _stub.UrlOf("pre"), TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance);
        Assert.Empty(await store.ListAsync("", null, TestContext.Current.CancellationToken).ToListAsync(TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task A_bucket_with_a_store_in_it_is_told()
    {
        _stub.Plant("pre/store.json", "{}"u8);
        Assert.Contains("holds a ZeroFlow store already", (await TryAsync(_stub.UrlOf("pre")))[0].Says, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(403, "InvalidAccessKeyId", "credentials", "AWS_ACCESS_KEY_ID")]
    [InlineData(403, "SignatureDoesNotMatch", "credentials", "AWS_SECRET_ACCESS_KEY")]
    [InlineData(400, "ExpiredToken", "credentials", "Renew")]
    [InlineData(403, "RequestTimeTooSkewed", "clock", "timedatectl")]
    [InlineData(403, "AccessDenied", "permissions", "s3:PutObject and s3:DeleteObject on arn:aws:s3:::stub-bucket/pre/*")]
    [InlineData(404, "NoSuchBucket", "bucket", "aws s3 mb s3://stub-bucket")]
    [InlineData(400, "AuthorizationHeaderMalformed", "region", "region=")]
    [InlineData(301, "PermanentRedirect", "region", "region=")]
    [InlineData(500, "InternalError", "server", "logs")]
    [InlineData(507, "QuotaExceeded", "space", "quota")]
    public async Task A_refusal_is_explained(int status, string code, string trouble, string advice)
    {
        _stub.FailNext(new S3Fault(S3Misbehaviour.Answer, status, code), 20);
        await AssertTroubleAsync(_stub.UrlOf("pre"), trouble, advice);
    }

    [Fact]
    public async Task A_store_that_ignores_conditions_is_refused()
    {
        _stub.IgnoresCondition = true;
        IReadOnlyList<Finding> findings = await TryAsync(_stub.UrlOf("pre"));
        Finding last = findings[^1];
        Assert.Equal(("conditional writes", false), (last.What, last.IsGood));
        Assert.Contains("If-None-Match", last.Says, StringComparison.Ordinal);
        Assert.Equal(ExitCodes.StartFailed, FindingOutput.ExitCode(findings));
    }

    [Fact]
    public async Task An_endpoint_where_nobody_listens_is_explained()
    {
        using var unused = new TcpListener(IPAddress.Loopback, 0);
        unused.Start();
        EndPoint address = unused.LocalEndpoint;
        unused.Stop();
        await AssertTroubleAsync($"s3://bucket/pre?endpoint=http://{address}", "endpoint", $"curl -v http://{address}/");
    }

    [Fact]
    public async Task A_certificate_that_nobody_vouches_for_is_explained()
    {
        using var key = RSA.Create(2048);
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        using X509Certificate2 certificate = new CertificateRequest("CN=else.where", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
            .CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var stop = new CancellationTokenSource();
        Task serving = ServeAsync();
        await AssertTroubleAsync($"s3://bucket/pre?endpoint=https://{listener.LocalEndpoint}", "tls", "update-ca-certificates");
        await stop.CancelAsync();
        await serving;

        async Task ServeAsync()
        {
            try
            {
                while (true)
                {
                    using TcpClient client = await listener.AcceptTcpClientAsync(stop.Token);
                    await using var tls = new SslStream(client.GetStream());
                    try
                    {
                        await tls.AuthenticateAsServerAsync(certificate);
                        await tls.CopyToAsync(Stream.Null, stop.Token);
                    }
                    catch (Exception fault) when (fault is IOException or System.Security.Authentication.AuthenticationException)
                    {
                        // The client does not go on.
                    }
                }
            }
            catch (OperationCanceledException)
            {
                // The end of the test.
            }
        }
    }

    [Fact]
    public void The_region_that_a_server_expects_is_passed_on()
    {
        var answer = new AmazonS3Exception(
            "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'", ErrorType.Sender,
            "AuthorizationHeaderMalformed", "1", HttpStatusCode.BadRequest);
        var fault = new ObjectStoreException(ObjectStoreErrorKind.Invalid, "No.", answer);
        Assert.Equal(
            ("region", "Put region=eu-central-1 into the store's URL: the bucket is there."), StoreAdvice.For(fault, "s3://bucket/pre"));
    }

    private static Task<IReadOnlyList<Finding>> TryAsync(string url) =>
        new StoreTrial(url, TimeProvider.System).RunAsync(TestContext.Current.CancellationToken);

    private static async Task AssertTroubleAsync(string url, string trouble, string advice)
    {
        Finding last = (await TryAsync(url))[^1];
        Assert.Equal((trouble, false), (last.What, last.IsGood));
        Assert.Contains(advice, last.Advice, StringComparison.Ordinal);
    }
}
