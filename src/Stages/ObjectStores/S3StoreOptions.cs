using System.Diagnostics.CodeAnalysis;

namespace ZeroFlow.Stages.ObjectStores;

/// <summary>Where an S3 store is and how it is spoken to. Immutable; data only, without secrets.</summary>
/// <remarks>
/// Credentials come from the usual AWS places: environment, profile files, web identity, container, instance.
/// </remarks>
public sealed record S3StoreOptions
{
    private const string Form =
        "s3://bucket/prefix?endpoint=https://host&region=name&path-style=true";

    /// <summary>Name of the bucket.</summary>
    public required string Bucket { get; init; }

    /// <summary>What every key is put behind: empty, or ending in <c>/</c>.</summary>
    public string Prefix { get; init; } = "";

    /// <summary>The server, for stores other than AWS; null means AWS in <see cref="Region"/>.</summary>
    public Uri? Endpoint { get; init; }

    /// <summary>
    /// Region that requests are signed for; null takes it from the environment, or us-east-1 with an endpoint.
    /// </summary>
    public string? Region { get; init; }

    /// <summary>The bucket is named in the path instead of the host name. Default: true with an endpoint.</summary>
    public bool PathStyle { get; init; }

    /// <summary>How long a connection may take to be made.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>
    /// How long a request may make no progress, in either direction, before it is given up as transient.
    /// </summary>
    /// <remarks>Progress counts, not the whole time: a large body over a thin line is slow, not dead.</remarks>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>
    /// Most connections at once: uploads in flight, coalesced reads and read-ahead, with room to spare.
    /// </summary>
    public int ConnectionsMax { get; init; } = 64;

    /// <summary>True when <see cref="Endpoint"/> is plain http.</summary>
    public bool IsPlainHttp => Endpoint is not null && Endpoint.Scheme == Uri.UriSchemeHttp;

    /// <summary>The store in words, for messages.</summary>
    public string Location
    {
        get
        {
            string place = Endpoint is null ? Region ?? "AWS" : Endpoint.GetLeftPart(UriPartial.Authority);
            return $"s3://{Bucket}/{Prefix} at {place}";
        }
    }

    /// <summary>
    /// Reads <c>s3://bucket/prefix?endpoint=...&amp;region=...&amp;path-style=true</c>.
    /// </summary>
    /// <exception cref="ObjectStoreException">
    /// Kind Invalid: the message names what is wrong and what is allowed.
    /// </exception>
    public static S3StoreOptions Parse(string url)
    {
        ArgumentNullException.ThrowIfNull(url);
        const string Scheme = "s3://";
        if (!url.StartsWith(Scheme, StringComparison.Ordinal)) Refuse($"'{url}' is not an S3 URL");
        (string path, string query) = SplitAt(url[Scheme.Length..], '?');
        (string bucket, string prefix) = SplitAt(path, '/');
        if (bucket.Contains('@', StringComparison.Ordinal))
            Refuse("An S3 URL holds no credentials: give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile");
        CheckBucket(bucket);

        var options = new S3StoreOptions { Bucket = bucket, Prefix = ParsePrefix(prefix) };
        bool? pathStyle = null;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (string part in query.Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            (string name, string escaped) = SplitAt(part, '=');
            string value = Uri.UnescapeDataString(escaped);
            if (!seen.Add(name)) Refuse($"'{name}' is given twice");
            switch (name)
            {
                case "endpoint": options = options with { Endpoint = ParseEndpoint(value) }; break;
                case "region": options = options with { Region = ParseRegion(value) }; break;
                case "path-style": pathStyle = ParseBoolean(name, value); break;
                default: Refuse($"'{name}' is not known in an S3 URL; endpoint, region and path-style are"); break;
            }
        }

        return options with { PathStyle = pathStyle ?? options.Endpoint is not null };
    }

    private static void CheckBucket(string bucket)
    {
        bool isName = bucket.Length is >= 3 and <= 63 &&
            bucket.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_') && bucket[0] != '.';
        if (!isName) Refuse($"'{bucket}' is not a bucket name (3 to 63 letters, digits, '-', '.' or '_')");
    }

    private static string ParsePrefix(string prefix)
    {
        // A few characters are kept free below the 1024 that S3 allows for prefix and key together.
        const int PrefixLengthMax = 500;
        string trimmed = prefix.TrimEnd('/');
        if (trimmed.Length == 0) return "";
        if (trimmed.Length > PrefixLengthMax || !ObjectKey.IsValid(trimmed))
            Refuse($"'{prefix}' is not a prefix (letters, digits, '-', '_' and '.', parted by '/', no dot in front)");
        return trimmed + "/";
    }

    private static Uri ParseEndpoint(string value)
    {
        bool isServer = Uri.TryCreate(value, UriKind.Absolute, out Uri? endpoint) &&
            (endpoint.Scheme == Uri.UriSchemeHttp || endpoint.Scheme == Uri.UriSchemeHttps) &&
            endpoint.UserInfo.Length == 0 && endpoint.Query.Length == 0;
        if (!isServer) Refuse($"'{value}' is not an endpoint (http://host:port or https://host:port)");
        return endpoint!;
    }

    private static string ParseRegion(string value)
    {
        bool isName = value.Length > 0 && value.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_');
        if (!isName) Refuse($"'{value}' is not a region (as in eu-central-1)");
        return value;
    }

    private static bool ParseBoolean(string name, string value)
    {
        if (value is not ("true" or "false")) Refuse($"'{name}' is true or false, not '{value}'");
        return value == "true";
    }

    private static (string Before, string After) SplitAt(string text, char separator)
    {
        int at = text.IndexOf(separator, StringComparison.Ordinal);
        return at < 0 ? (text, "") : (text[..at], text[(at + 1)..]);
    }

    [DoesNotReturn]
    private static void Refuse(string what) =>
        throw new ObjectStoreException(ObjectStoreErrorKind.Invalid, $"{what}. The form is {Form}.");
}
