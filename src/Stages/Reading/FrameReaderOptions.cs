namespace ZeroFlow.Stages.Reading;

/// <summary>The tuning of a <see cref="FrameReader"/>. Immutable; data only.</summary>
internal sealed record FrameReaderOptions
{
    /// <summary>Most ranged GETs that reads which somebody waits for have under way.</summary>
    /// <remarks>32 GETs of 128 KiB at 30 ms are 136 MB/s; fewer requests in flight never wait here.</remarks>
    public int GetsMax { get; init; } = 32;

    /// <summary>Most ranged GETs that read-ahead has under way, besides the others.</summary>
    /// <remarks>Eight steps of a full window, and those that the border of a table cuts in two.</remarks>
    public int ReadAheadGetsMax { get; init; } = 12;

    /// <summary>Most bytes of one coalesced GET.</summary>
    public int RunBytesMax { get; init; } = 4 * 1024 * 1024;

    /// <summary>Unwanted bytes between two frames that one GET may fetch along with them.</summary>
    /// <remarks>At 100 MB/s, 16 KiB take 0.16 ms: a fraction of the round trip that another GET would cost.</remarks>
    public int GapBytesMax { get; init; } = 16 * 1024;

    /// <summary>Most bytes of buffers for the GETs of <see cref="GetsMax"/>.</summary>
    public long FetchBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>Most bytes of buffers for the GETs of <see cref="ReadAheadGetsMax"/>.</summary>
    public long ReadAheadBytes { get; init; } = 32L * 1024 * 1024;
}
