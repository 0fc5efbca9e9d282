using System.Buffers.Binary;
using ZeroFlow.Stages.Journal;
using ZeroFlow.TestKit.Journal;

namespace ZeroFlow.Stages.Tests.Journal;

// Where things lie in the segment files of a simulated disk, for tests that damage them.
internal static class SegmentFiles
{
    public const int HeaderAt = 68;

    public static IReadOnlyList<string> Names(SimulatedWalDisk disk) => WalReplay.SegmentFiles(disk);

    // The range of a record's own bytes, without the length that FasterLog puts in front.
    public static Range RangeOf(WalBench.Record record)
    {
        int start = (int)record.Position.Address + FasterSegmentLog.EntryHeaderBytes;
        return start..(start + WalRecordFormat.Bytes(record.Payload.Length));
    }

    public static Span<byte> BytesOf(SimulatedWalDisk disk, WalBench.Record record) =>
        disk.BytesOf(WalSegment.NameOf(record.Position.Segment)).AsSpan()[RangeOf(record)];

    public static ulong FirstSequence(SimulatedWalDisk disk, string name) =>
        BinaryPrimitives.ReadUInt64LittleEndian(disk.BytesOf(name).AsSpan(HeaderAt + 64));
}
