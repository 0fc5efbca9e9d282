namespace ZeroFlow.Host.Live;

/// <summary>The stages that have a meter, as docs/architecture.md has them; the cut is the border between front and drain.</summary>
internal static class LiveStages
{
    /// <summary>Names in pipeline order.</summary>
    public static readonly string[] InOrder =
        ["admit", "sequence", "journal", "cut", "chunk", "compress", "seal", "table", "upload", "commit", "settle"];
}
