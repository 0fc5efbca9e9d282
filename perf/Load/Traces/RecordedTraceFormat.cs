namespace ZeroFlow.Perf.Traces;

/// <summary>
/// The recorder's own format, version 1. A file is a header and records up to the end record; all of it may be in gzip.
/// Integers are little-endian; a varint has seven bits a byte, the lowest first, and the top bit on all but the last
/// byte; a zigzag is a varint of <c>(n &lt;&lt; 1) ^ (n &gt;&gt; 63)</c>.
/// <code>
/// header      "ZFTRACE" and the version, a byte; when it began, microseconds of Unix time, u64
/// record      tag, a byte: bits 0 to 3 the kind, bit 4 FLAGS, bit 5 CONNECTION, bits 6 and 7 are 0
///   kind 0 to 7, a request: the kind is its NBD command
///               varint microseconds since the request before it, or since the begin
///               if CONNECTION: varint number of its connection; else that of the request before it (0 at first)
///               if FLAGS:      varint flags; else 0
///               unless FLUSH or DISC: zigzag offset less the end of the last request that had one; varint length
///   kind 14, a connection was negotiated:
///               varint number; varint size of the export; varint transmission flags; a byte, 0 simple, 1 structured,
///               2 extended headers; varint length of the name; the name in UTF-8
///   kind 15, the end: varint number of requests. A file without it was cut off.
/// </code>
/// A request takes 6 to 10 bytes before gzip.
/// </summary>
internal static class RecordedTraceFormat
{
    public const byte Version = 1;
    public const int HeaderBytes = 16;
    public const int CommandMax = 7;
    public const int KindMask = 0x0f;
    public const int ConnectionKind = 14;
    public const int EndKind = 15;
    public const int FlagsBit = 0x10;
    public const int ConnectionBit = 0x20;
    public const int NameBytesMax = 4096;

    public static ReadOnlySpan<byte> Magic => "ZFTRACE"u8;

    public static bool HasRange(int command) => command is not (2 or 3);
}
