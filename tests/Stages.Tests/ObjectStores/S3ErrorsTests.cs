using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using Amazon.Runtime;
using Amazon.S3;
using Xunit;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Tests.ObjectStores;

public sealed class S3ErrorsTests
{
    [Theory]
    [InlineData(500, "InternalError", ObjectStoreErrorKind.Transient)]
    [InlineData(500, "UnknownError", ObjectStoreErrorKind.Transient)]
    [InlineData(502, null, ObjectStoreErrorKind.Transient)]
    [InlineData(503, "ServiceUnavailable", ObjectStoreErrorKind.Transient)]
    [InlineData(503, null, ObjectStoreErrorKind.Transient)]
    [InlineData(504, null, ObjectStoreErrorKind.Transient)]
    [InlineData(408, null, ObjectStoreErrorKind.Transient)]
    [InlineData(409, "ConditionalRequestConflict", ObjectStoreErrorKind.Transient)]
    [InlineData(409, "OperationAborted", ObjectStoreErrorKind.Transient)]
    [InlineData(400, "RequestTimeout", ObjectStoreErrorKind.Transient)]
    [InlineData(400, "IncompleteBody", ObjectStoreErrorKind.Transient)]
    [InlineData(400, "BadDigest", ObjectStoreErrorKind.Transient)]
    [InlineData(200, null, ObjectStoreErrorKind.Transient)]
    [InlineData(503, "SlowDown", ObjectStoreErrorKind.Throttled)]
    [InlineData(429, null, ObjectStoreErrorKind.Throttled)]
    [InlineData(400, "ThrottlingException", ObjectStoreErrorKind.Throttled)]
    [InlineData(401, null, ObjectStoreErrorKind.Denied)]
    [InlineData(403, "AccessDenied", ObjectStoreErrorKind.Denied)]
    [InlineData(403, "SignatureDoesNotMatch", ObjectStoreErrorKind.Denied)]
    [InlineData(403, "RequestTimeTooSkewed", ObjectStoreErrorKind.Denied)]
    [InlineData(400, "ExpiredToken", ObjectStoreErrorKind.Denied)]
    [InlineData(404, "NoSuchBucket", ObjectStoreErrorKind.StoreMissing)]
    [InlineData(404, "NoSuchKey", ObjectStoreErrorKind.ObjectMissing)]
    [InlineData(416, "InvalidRange", ObjectStoreErrorKind.ShortBody)]
    [InlineData(403, "QuotaExceeded", ObjectStoreErrorKind.Full)]
    [InlineData(507, null, ObjectStoreErrorKind.Full)]
    [InlineData(400, "InvalidArgument", ObjectStoreErrorKind.Invalid)]
    [InlineData(400, "AuthorizationHeaderMalformed", ObjectStoreErrorKind.Invalid)]
    [InlineData(301, "PermanentRedirect", ObjectStoreErrorKind.Invalid)]
    [InlineData(405, "MethodNotAllowed", ObjectStoreErrorKind.Invalid)]
    [InlineData(501, "NotImplemented", ObjectStoreErrorKind.Invalid)]
    public void An_answer_is_classified_by_its_code_and_then_its_status(
        int status, string? code, ObjectStoreErrorKind expected)
    {
        Assert.Equal(expected, S3Errors.KindOf((HttpStatusCode)status, code));
    }

    // A 404 page of a proxy must never pass for "no such object": a chain would end there.
    [Theory]
    [InlineData(null)]
    [InlineData("NotFound")]
    [InlineData("404 Not Found")]
    public void A_404_that_does_not_name_the_object_is_a_missing_store(string? code)
    {
        Assert.Equal(ObjectStoreErrorKind.StoreMissing, S3Errors.KindOf(HttpStatusCode.NotFound, code));
    }

    [Fact]
    public void A_skewed_clock_is_said_to_be_one()
    {
        ObjectStoreException failure = Classify(Answer(403, "RequestTimeTooSkewed"));
        Assert.Contains("clock", failure.Message, StringComparison.Ordinal);
        Assert.Contains("chain/1", failure.Message, StringComparison.Ordinal);
        Assert.Contains("s3://b/ at h", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ExpiredToken", "renew")]
    [InlineData("SignatureDoesNotMatch", "access key")]
    [InlineData("AuthorizationHeaderMalformed", "region")]
    public void What_a_person_has_to_mend_is_named(string code, string word) =>
        Assert.Contains(word, Classify(Answer(400, code)).Message, StringComparison.Ordinal);

    public static TheoryData<Exception, ObjectStoreErrorKind> ConnectionFailures => new()
    {
        { new HttpRequestException("refused", new SocketException(111)), ObjectStoreErrorKind.Transient },
        { new AmazonClientException("wrapped", new HttpRequestException("no host")), ObjectStoreErrorKind.Transient },
        { new IOException("The response ended prematurely."), ObjectStoreErrorKind.Transient },
        { new TimeoutException(), ObjectStoreErrorKind.Transient },
        { new TaskCanceledException(), ObjectStoreErrorKind.Transient },
        {
            new HttpRequestException("ssl", new AuthenticationException("The remote certificate is invalid.")),
            ObjectStoreErrorKind.Denied
        },
        {
            new AmazonClientException("x", new ObjectStoreException(ObjectStoreErrorKind.Denied, "no credentials")),
            ObjectStoreErrorKind.Denied
        },
    };

    [Theory(DisableDiscoveryEnumeration = true)]
    [MemberData(nameof(ConnectionFailures))]
    public void Failures_below_http_are_transient_unless_trust_is_missing(
        Exception error, ObjectStoreErrorKind expected)
    {
        ObjectStoreException failure = Classify(error);
        Assert.Equal(expected, failure.Kind);
        Assert.DoesNotContain('\n', failure.Message);
    }

    private static ObjectStoreException Classify(Exception error) =>
        S3Errors.Classify(error, "read", "chain/1", "s3://b/ at h");

    private static AmazonS3Exception Answer(int status, string code) =>
        new("said so") { StatusCode = (HttpStatusCode)status, ErrorCode = code };
}
