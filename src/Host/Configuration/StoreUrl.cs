using System.Diagnostics.CodeAnalysis;

namespace ZeroFlow.Host.Configuration;

/// <summary>The first look at a store's URL; the object store itself checks the rest when it is opened.</summary>
internal static class StoreUrl
{
    private const string Form =
        "must be file:///absolute/directory or s3://bucket/prefix"
        + "?endpoint=http://host:port&region=name&path-style=true.";

    /// <summary>
    /// Checks the shape. The problem never repeats the URL: one with credentials in it must not reach a log.
    /// </summary>
    public static bool TryCheck(string url, [NotNullWhen(false)] out string? problem)
    {
        problem = Check(url);
        return problem is null;
    }

    private static string? Check(string url)
    {
        if (!Uri.TryCreate(url, UriKind.Absolute, out Uri? uri)) return Form;
        if (uri.UserInfo.Length > 0)
            return "holds credentials, which come from the AWS environment variables or profile files only.";
        return uri.Scheme switch
        {
            // A bare path parses as a file URI, too.
            "file" when url.StartsWith("file:///", StringComparison.Ordinal) && uri.AbsolutePath.Length > 1 => null,
            "s3" when url.StartsWith("s3://", StringComparison.Ordinal) && uri.Host.Length > 0 => null,
            _ => Form,
        };
    }
}
