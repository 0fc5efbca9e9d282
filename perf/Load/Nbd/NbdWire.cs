namespace ZeroFlow.Perf.Nbd;

/// <summary>
/// Numbers of NBD (doc/proto.md of NetworkBlockDevice/nbd) that a simple-reply client and the recorder need.
/// </summary>
internal static class NbdWire
{
    public const ulong InitMagic = 0x4e42444d41474943;
    public const ulong OptionMagic = 0x49484156454f5054;
    public const ulong OptionReplyMagic = 0x3e889045565a9;
    public const uint RequestMagic = 0x25609513;
    public const uint ExtendedRequestMagic = 0x21e41c71;
    public const uint SimpleReplyMagic = 0x67446698;

    public const ushort FixedNewstyle = 1;
    public const ushort NoZeroes = 2;

    public const uint OptionExportName = 1;
    public const uint OptionStartTls = 5;
    public const uint OptionGo = 7;
    public const uint OptionStructuredReply = 8;
    public const uint OptionExtendedHeaders = 11;
    public const uint ReplyAck = 1;
    public const uint ReplyInfo = 3;
    public const uint ReplyErrorBit = 0x80000000;
    public const ushort InfoExport = 0;

    public const int RequestHeaderBytes = 28;
    public const int ExtendedRequestHeaderBytes = 32;
    public const int SimpleReplyBytes = 16;
}

/// <summary>Commands of the transmission phase.</summary>
internal enum NbdCommand : ushort
{
    Read = 0,
    Write = 1,
    Disconnect = 2,
    Flush = 3,
    Trim = 4,
    Cache = 5,
    WriteZeroes = 6,
    BlockStatus = 7,
}

/// <summary>Flags of one request.</summary>
[Flags]
internal enum NbdRequestFlags : ushort
{
    None = 0,
    Fua = 1 << 0,
    NoHole = 1 << 1,
    DontFragment = 1 << 2,
    RequestOne = 1 << 3,
    FastZero = 1 << 4,
    PayloadLength = 1 << 5,
}

/// <summary>What an export says it can do.</summary>
[Flags]
internal enum NbdExportFlags : ushort
{
    None = 0,
    HasFlags = 1 << 0,
    ReadOnly = 1 << 1,
    SendFlush = 1 << 2,
    SendFua = 1 << 3,
    Rotational = 1 << 4,
    SendTrim = 1 << 5,
    SendWriteZeroes = 1 << 6,
    CanMultiConn = 1 << 8,
}

/// <summary>The server refused something, broke the protocol, answered with an error, or fell silent.</summary>
internal sealed class NbdException(string message) : Exception(message);
