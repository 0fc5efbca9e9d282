using System.Security.Authentication;
using Amazon.Runtime;

namespace ZeroFlow.Stages.ObjectStores;

/// <summary>Says what a person can do about a store that refuses its first requests.</summary>
public static class StoreAdvice
{
    /// <summary>
    /// A short name for the trouble, such as "credentials" or "region", and what to do, in a sentence or two. Both tell
    /// places and names, never secrets.
    /// </summary>
    /// <param name="fault">What a store threw.</param>
    /// <param name="url">The store's URL.</param>
    public static (string Trouble, string Advice) For(ObjectStoreException fault, string url)
    {
        ArgumentNullException.ThrowIfNull(fault);
        S3StoreOptions? place = TryParse(url);
        if (place is null) return ("directory", "Check that the directory exists and that this user may write there.");
        if (FindInner<AuthenticationException>(fault) is not null) return Tls(place);
        AmazonServiceException? answer = FindInner<AmazonServiceException>(fault);
        if (answer is not null && (int)answer.StatusCode != 0) return OfAnswer(answer, fault.Kind, place);
        return fault.Kind switch
        {
            ObjectStoreErrorKind.Denied => NoCredentials,
            ObjectStoreErrorKind.Invalid => ("store", $"{fault.Message} See zeroflow init --help for the form of the URL."),
            _ => Unreachable(place),
        };
    }

    private static (string Trouble, string Advice) NoCredentials =>
        ("credentials", "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for this command and for the service "
            + "(/etc/zeroflow/zeroflow.env), or use a profile (AWS_PROFILE) or a role.");

    private static (string Trouble, string Advice) OfAnswer(
        AmazonServiceException answer, ObjectStoreErrorKind kind, S3StoreOptions place) => answer.ErrorCode switch
        {
            "InvalidAccessKeyId" =>
                ("credentials", "The store does not know this access key: check AWS_ACCESS_KEY_ID, and that the endpoint is the one it was made for."),
            "SignatureDoesNotMatch" =>
                ("credentials", "The secret does not belong to the access key: check AWS_SECRET_ACCESS_KEY for missing or extra "
                    + "characters. If it is right, something on the way changes requests: try without the proxy."),
            "ExpiredToken" or "InvalidToken" or "TokenRefreshRequired" =>
                ("credentials", "Renew the session credentials; for a server use keys or a role that renew themselves."),
            "RequestTimeTooSkewed" =>
                ("clock", "Set this machine's clock: timedatectl set-ntp true, or install chrony. Requests are signed with the time."),
            "AuthorizationHeaderMalformed" or "PermanentRedirect" or "IllegalLocationConstraintException" =>
                ("region", RegionAdvice(answer)),
            _ => OfKind(kind, place),
        };

    private static (string Trouble, string Advice) OfKind(ObjectStoreErrorKind kind, S3StoreOptions place) => kind switch
    {
        ObjectStoreErrorKind.StoreMissing => ("bucket", $"Create it (aws s3 mb s3://{place.Bucket}), or correct its name. If the "
            + "endpoint names the bucket in its host name, leave path-style=true out; if it does not, add it."),
        ObjectStoreErrorKind.Denied => ("permissions", $"Allow s3:ListBucket on arn:aws:s3:::{place.Bucket}, and s3:GetObject, s3:PutObject "
            + $"and s3:DeleteObject on arn:aws:s3:::{place.Bucket}/{place.Prefix}*."),
        ObjectStoreErrorKind.Full => ("space", "The store has no space left, or its quota is reached."),
        ObjectStoreErrorKind.Throttled => ("throttling", "The store asks for fewer requests; try again later, or raise its limits."),
        ObjectStoreErrorKind.Invalid => ("store", "The server does not do what S3 does here: is the endpoint an S3 server?"),
        _ => ("server", "The server has trouble of its own; try again, and look at its logs."),
    };

    private static string RegionAdvice(AmazonServiceException answer)
    {
        const string Expecting = "expecting '";
        int at = answer.Message.IndexOf(Expecting, StringComparison.Ordinal);
        string rest = at < 0 ? "" : answer.Message[(at + Expecting.Length)..];
        string region = rest.Split('\'')[0];
        return region.Length > 0
            ? $"Put region={region} into the store's URL: the bucket is there."
            : "Put the bucket's region into the store's URL (region=...); aws s3api get-bucket-location tells it.";
    }

    private static (string Trouble, string Advice) Tls(S3StoreOptions place) =>
        ("tls", $"{place.Endpoint?.Host ?? "The store"} shows a certificate that this machine does not trust for that name. Install its "
            + "authority (/usr/local/share/ca-certificates, then update-ca-certificates), or use the name that it is made out to.");

    private static (string Trouble, string Advice) Unreachable(S3StoreOptions place) =>
        ("endpoint", place.Endpoint is { } endpoint
            ? $"Check the host, the port and http or https in {endpoint.GetLeftPart(UriPartial.Authority)}, and that nothing in between refuses it: "
                + $"curl -v {endpoint.GetLeftPart(UriPartial.Authority)}/"
            : "Check the network, the name server and the region's name; a proxy in HTTPS_PROXY is used where it is set.");

    private static S3StoreOptions? TryParse(string url)
    {
        try
        {
            return url.StartsWith("s3://", StringComparison.Ordinal) ? S3StoreOptions.Parse(url) : null;
        }
        catch (ObjectStoreException)
        {
            return null;
        }
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
}
