using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using ZeroFlow.Stages.Engine;

namespace ZeroFlow.Host.Control;

/// <summary>One call of the control API, with what it was called by, and how long it may wait.</summary>
internal sealed record ControlCall(HttpContext Context, BlockStore Store, string Name, RequestLimit Limit)
{
    /// <summary>Cancelled when nobody waits any more; what the engine was asked for goes on all the same.</summary>
    public CancellationToken Cancellation => Limit.Token;
}

/// <summary>One operation of the control API: how it is called, what it does, and how it is described.</summary>
/// <param name="Method">HTTP method.</param>
/// <param name="Path">Path with <c>{name}</c> for one segment, which is decoded.</param>
/// <param name="Summary">One sentence for people.</param>
/// <param name="Request">Type of the body; null for none, or for bytes.</param>
/// <param name="Answer">Type of the answer; null for none, or for bytes.</param>
/// <param name="Query">Names of query parameters.</param>
/// <param name="RunAsync">Does it.</param>
internal sealed record ControlRoute(
    string Method, string Path, string Summary, JsonTypeInfo? Request, JsonTypeInfo? Answer, string[] Query,
    Func<ControlCall, Task> RunAsync)
{
    private readonly string[] _segments = Path.Split('/');

    /// <summary>True when the segments of a path are this route's; gives the decoded name.</summary>
    public bool Matches(string[] path, out string name)
    {
        name = "";
        if (path.Length != _segments.Length) return false;
        for (int i = 0; i < path.Length; i++)
        {
            if (_segments[i] == "{name}") name = Uri.UnescapeDataString(path[i]);
            else if (_segments[i] != path[i]) return false;
        }

        return true;
    }
}
