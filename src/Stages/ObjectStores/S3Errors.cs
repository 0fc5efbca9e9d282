using System.Net;
using System.Security.Authentication;
using Amazon.Runtime;

namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// The one place where what S3 servers and the SDK answer becomes <see cref="ObjectStoreException"/>s.
/// </summary>
/// <remarks>
/// Compatible stores agree more on codes than on status numbers, so a known code decides first and the status second.
/// In doubt an error is transient: retrying a hopeless request is visible in the metrics, giving up on a good one loses
/// an upload.
/// </remarks>
internal static class S3Errors
{
    private static readonly Dictionary<string, ObjectStoreErrorKind> KindOfCode = new(StringComparer.Ordinal)
    {
        ["NoSuchKey"] = ObjectStoreErrorKind.ObjectMissing,
        ["NoSuchBucket"] = ObjectStoreErrorKind.StoreMissing,

        ["SlowDown"] = ObjectStoreErrorKind.Throttled,
        ["SlowDownRead"] = ObjectStoreErrorKind.Throttled,
        ["SlowDownWrite"] = ObjectStoreErrorKind.Throttled,
        ["Throttling"] = ObjectStoreErrorKind.Throttled,
        ["ThrottlingException"] = ObjectStoreErrorKind.Throttled,
        ["ThrottledException"] = ObjectStoreErrorKind.Throttled,
        ["RequestThrottled"] = ObjectStoreErrorKind.Throttled,
        ["RequestLimitExceeded"] = ObjectStoreErrorKind.Throttled,
        ["TooManyRequests"] = ObjectStoreErrorKind.Throttled,
        ["BandwidthLimitExceeded"] = ObjectStoreErrorKind.Throttled,

        ["RequestTimeTooSkewed"] = ObjectStoreErrorKind.Denied,
        ["ExpiredToken"] = ObjectStoreErrorKind.Denied,
        ["InvalidToken"] = ObjectStoreErrorKind.Denied,
        ["TokenRefreshRequired"] = ObjectStoreErrorKind.Denied,
        ["InvalidAccessKeyId"] = ObjectStoreErrorKind.Denied,

        ["QuotaExceeded"] = ObjectStoreErrorKind.Full,
        ["ServiceQuotaExceededException"] = ObjectStoreErrorKind.Full,
        ["XMinioStorageFull"] = ObjectStoreErrorKind.Full,

        // 400s that speak of a body damaged or cut off on its way.
        ["RequestTimeout"] = ObjectStoreErrorKind.Transient,
        ["IncompleteBody"] = ObjectStoreErrorKind.Transient,
        ["BadDigest"] = ObjectStoreErrorKind.Transient,
        ["XAmzContentSHA256Mismatch"] = ObjectStoreErrorKind.Transient,
        ["XAmzContentChecksumMismatch"] = ObjectStoreErrorKind.Transient,

        ["InvalidRange"] = ObjectStoreErrorKind.ShortBody,
    };

    /// <summary>True for the answer to a create whose name is taken.</summary>
    public static bool IsExists(AmazonServiceException error) =>
        error.StatusCode == HttpStatusCode.PreconditionFailed || error.ErrorCode == "PreconditionFailed";

    /// <summary>True when the server says that there is no object of that name.</summary>
    public static bool IsMissing(AmazonServiceException error) =>
        KindOf(error.StatusCode, error.ErrorCode) == ObjectStoreErrorKind.ObjectMissing;

    /// <summary>True when the range begins at or past the end of the object.</summary>
    public static bool IsPastEnd(AmazonServiceException error) =>
        error.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable;

    /// <summary>
    /// True for errors that say something about the request or the store, and not about a bug of ours.
    /// </summary>
    public static bool IsRequestFailure(Exception error) =>
        error is AmazonServiceException or AmazonClientException or ObjectStoreException or HttpRequestException
            or IOException or TimeoutException or OperationCanceledException or System.Net.Sockets.SocketException;

    /// <summary>
    /// Says what <paramref name="error"/> means, in one sentence that names the object and the store.
    /// </summary>
    public static ObjectStoreException Classify(Exception error, string verb, string key, string location)
    {
        if (FindInner<ObjectStoreException>(error) is { } known) return known;
        (ObjectStoreErrorKind kind, string reason) = error switch
        {
            AmazonServiceException answer when (int)answer.StatusCode != 0 => OfAnswer(answer),
            _ => OfConnection(error),
        };
        return new ObjectStoreException(kind, $"Could not {verb} '{key}' in {location}: {reason}.", error);
    }

    /// <summary>The kind of an answer with this status and S3 error code.</summary>
    public static ObjectStoreErrorKind KindOf(HttpStatusCode status, string? code)
    {
        if (code is not null && KindOfCode.TryGetValue(code, out ObjectStoreErrorKind known)) return known;
        return (int)status switch
        {
            401 or 403 => ObjectStoreErrorKind.Denied,

            // Only the code NoSuchKey says that an object is absent: a proxy's 404 must not end a chain.
            404 => ObjectStoreErrorKind.StoreMissing,
            408 or 409 => ObjectStoreErrorKind.Transient,
            416 => ObjectStoreErrorKind.ShortBody,
            429 => ObjectStoreErrorKind.Throttled,
            501 => ObjectStoreErrorKind.Invalid,
            507 => ObjectStoreErrorKind.Full,
            >= 500 => ObjectStoreErrorKind.Transient,
            >= 300 => ObjectStoreErrorKind.Invalid,

            // A success that could not be understood: a proxy's page, or a body that was cut off.
            _ => ObjectStoreErrorKind.Transient,
        };
    }

    private static (ObjectStoreErrorKind Kind, string Reason) OfAnswer(AmazonServiceException answer)
    {
        ObjectStoreErrorKind kind = KindOf(answer.StatusCode, answer.ErrorCode);
        string said = $"{(int)answer.StatusCode} {answer.ErrorCode}";
        string reason = (answer.ErrorCode, kind) switch
        {
            ("RequestTimeTooSkewed", _) => $"{said}: this machine's clock is too far from the store's; set it right",
            ("ExpiredToken" or "InvalidToken" or "TokenRefreshRequired", _) =>
                $"{said}: the session credentials are no longer valid; renew them",
            ("InvalidAccessKeyId" or "SignatureDoesNotMatch", _) =>
                $"{said}: the store does not accept the access key or its secret",
            ("AuthorizationHeaderMalformed" or "PermanentRedirect" or "IllegalLocationConstraintException", _) =>
                $"{said}: the bucket is in another region; set region in the store's URL",
            (_, ObjectStoreErrorKind.Denied) => $"{said}: the credentials do not allow it",
            (_, ObjectStoreErrorKind.StoreMissing) =>
                $"{said}: the bucket does not exist, or the endpoint is not an S3 server",
            (_, ObjectStoreErrorKind.ObjectMissing) => "there is no such object",
            (_, ObjectStoreErrorKind.ShortBody) => $"{said}: the object is shorter than the range",
            _ => $"{said}: {OneLine(answer.Message)}",
        };
        return (kind, reason);
    }

    private static (ObjectStoreErrorKind Kind, string Reason) OfConnection(Exception error)
    {
        if (FindInner<AuthenticationException>(error) is { } untrusted)
            return (ObjectStoreErrorKind.Denied, $"the TLS connection was refused: {OneLine(untrusted.Message)}");
        if (error is OperationCanceledException or TimeoutException)
            return (ObjectStoreErrorKind.Transient, "the store did not answer in time");
        Exception cause = FindInner<HttpRequestException>(error) ?? FindInner<IOException>(error) ?? error;
        return (ObjectStoreErrorKind.Transient, OneLine(cause.Message));
    }

    private static T? FindInner<T>(Exception error)
        where T : Exception
    {
        for (Exception? current = error; current is not null; current = current.InnerException)
        {
            if (current is T found) return found;
        }

        return null;
    }

    private static string OneLine(string message) => message.ReplaceLineEndings(" ").Trim().TrimEnd('.');
}
