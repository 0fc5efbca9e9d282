namespace ZeroFlow.Nbd.Protocol;

/// <summary>Numbers of the wire that belong to no enumeration. All integers on the wire are big-endian.</summary>
internal static class NbdConstants
{
    /// <summary>"NBDMAGIC", first word of the greeting.</summary>
    public const ulong GreetingMagic = 0x4e42444d41474943;

    /// <summary>"IHAVEOPT", second word of the greeting and first of every option.</summary>
    public const ulong OptionMagic = 0x49484156454f5054;

    /// <summary>First word of every answer to an option.</summary>
    public const ulong OptionReplyMagic = 0x0003e889045565a9;

    /// <summary>First word of a request.</summary>
    public const uint RequestMagic = 0x25609513;

    /// <summary>First word of a simple reply.</summary>
    public const uint SimpleReplyMagic = 0x67446698;

    /// <summary>First word of every chunk of a structured reply.</summary>
    public const uint StructuredReplyMagic = 0x668e33ef;

    /// <summary>First word of an extended request.</summary>
    public const uint ExtendedRequestMagic = 0x21e41c71;

    /// <summary>First word of every chunk of an extended reply.</summary>
    public const uint ExtendedReplyMagic = 0x6e8a278c;

    /// <summary>Longest name or message that the protocol allows, in bytes.</summary>
    public const int StringBytesMax = 4096;

    /// <summary>Zeros behind the answer to EXPORT_NAME, for clients that did not ask to leave them out.</summary>
    public const int ExportNamePadding = 124;
}

/// <summary>Flags of the greeting, and the client's answer to them: the same bits.</summary>
[Flags]
internal enum HandshakeFlags : ushort
{
    None = 0,
    FixedNewstyle = 1 << 0,
    NoZeroes = 1 << 1,
}

/// <summary>What a client asks for while it haggles.</summary>
internal enum NbdOption : uint
{
    ExportName = 1,
    Abort = 2,
    List = 3,
    StartTls = 5,
    Info = 6,
    Go = 7,
    StructuredReply = 8,
    ListMetaContext = 9,
    SetMetaContext = 10,
    ExtendedHeaders = 11,
}

/// <summary>Kinds of answers to an option.</summary>
internal enum NbdOptionReply : uint
{
    Ack = 1,
    Server = 2,
    Info = 3,
    MetaContext = 4,
    ErrorUnsupported = 0x80000001,
    ErrorPolicy = 0x80000002,
    ErrorInvalid = 0x80000003,
    ErrorTlsRequired = 0x80000005,
    ErrorUnknown = 0x80000006,
    ErrorShutdown = 0x80000007,
    ErrorTooBig = 0x80000009,
    ErrorExtendedHeadersRequired = 0x8000000a,
}

/// <summary>Kinds of information in the answer to INFO and GO.</summary>
internal enum NbdInfo : ushort
{
    Export = 0,
    Name = 1,
    Description = 2,
    BlockSize = 3,
}

/// <summary>What an export can do, as told to the client.</summary>
[Flags]
internal enum TransmissionFlags : ushort
{
    None = 0,
    HasFlags = 1 << 0,
    ReadOnly = 1 << 1,
    SendFlush = 1 << 2,
    SendFua = 1 << 3,
    SendTrim = 1 << 5,
    SendWriteZeroes = 1 << 6,
    SendDontFragment = 1 << 7,
    CanMultiConn = 1 << 8,
    SendCache = 1 << 10,
    SendFastZero = 1 << 11,
    BlockStatusPayload = 1 << 12,
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
internal enum CommandFlags : ushort
{
    None = 0,
    ForceUnitAccess = 1 << 0,
    NoHole = 1 << 1,
    DontFragment = 1 << 2,
    RequireOne = 1 << 3,
    FastZero = 1 << 4,
    PayloadLength = 1 << 5,
}

/// <summary>Kinds of chunks in a structured reply.</summary>
internal enum ReplyChunk : ushort
{
    None = 0,
    OffsetData = 1,
    OffsetHole = 2,
    BlockStatus = 5,
    BlockStatusExtended = 6,
    Error = 0x8001,
    ErrorOffset = 0x8002,
}

/// <summary>The error codes that may stand in a reply. Nothing else may.</summary>
internal enum NbdError : uint
{
    None = 0,
    NotPermitted = 1,
    InputOutput = 5,
    NoMemory = 12,
    Invalid = 22,
    NoSpace = 28,
    Overflow = 75,
    NotSupported = 95,
    Shutdown = 108,
}
