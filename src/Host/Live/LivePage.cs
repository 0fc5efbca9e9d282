using System.Collections.Frozen;
using System.Reflection;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;

namespace ZeroFlow.Host.Live;

/// <summary>
/// The page: a few files that are part of the program. It holds nothing of the store, asks for nothing from elsewhere, and
/// runs no script but its own. Thread-safe.
/// </summary>
internal static class LivePage
{
    // Scripts and styles from this server only; nothing inline, nothing framed, no form that leads away.
    private const string Policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

    private const string Prefix = "page/";

    private static readonly FrozenDictionary<string, PageFile> Files = Load();

    /// <summary>True when a path is one of the page's files.</summary>
    public static bool Has(string? path) => path is not null && Files.ContainsKey(path);

    /// <summary>Answers a GET or HEAD of one of the files.</summary>
    public static async Task AnswerAsync(HttpContext context)
    {
        PageFile file = Files[context.Request.Path.Value!];
        HttpResponse response = context.Response;
        Guard(response);
        response.Headers.ETag = file.Tag;

        // A new version of the server is a new page, at the next look.
        response.Headers.CacheControl = "no-cache";
        if (context.Request.Headers.IfNoneMatch.Contains(file.Tag))
        {
            response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }

        response.ContentType = file.Type;
        response.ContentLength = file.Bytes.Length;
        if (!HttpMethods.IsHead(context.Request.Method)) await response.Body.WriteAsync(file.Bytes, context.RequestAborted);
    }

    /// <summary>Tells browsers to keep an answer to this page.</summary>
    public static void Guard(HttpResponse response)
    {
        response.Headers.ContentSecurityPolicy = Policy;
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers["Cross-Origin-Resource-Policy"] = "same-origin";
        response.Headers["Cross-Origin-Opener-Policy"] = "same-origin";
        response.Headers["Referrer-Policy"] = "no-referrer";
    }

    private static FrozenDictionary<string, PageFile> Load()
    {
        Assembly program = typeof(LivePage).Assembly;
        var files = new Dictionary<string, PageFile>(StringComparer.Ordinal);
        foreach (string resource in program.GetManifestResourceNames())
        {
            if (!resource.StartsWith(Prefix, StringComparison.Ordinal)) continue;
            using Stream stream = program.GetManifestResourceStream(resource)!;
            byte[] bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            string name = resource[Prefix.Length..];
            string tag = $"\"{Convert.ToHexStringLower(SHA256.HashData(bytes)[..8])}\"";
            files[name == "index.html" ? "/" : $"/live/{name}"] = new PageFile(TypeOf(name), bytes, tag);
        }

        return files.ToFrozenDictionary(StringComparer.Ordinal);
    }

    private static string TypeOf(string name) => Path.GetExtension(name) switch
    {
        ".html" => "text/html; charset=utf-8",
        ".css" => "text/css; charset=utf-8",
        ".js" => "text/javascript; charset=utf-8",
        ".svg" => "image/svg+xml",
        string other => throw new InvalidOperationException($"A page has no files like {other}."),
    };

    private sealed record PageFile(string Type, byte[] Bytes, string Tag);
}
