using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Engine;

/// <summary>What the reads of all exports share. Without a writer there is no WAL, and the memtables are empty.</summary>
internal sealed record ReadParts(
    IWriteAheadLog? Wal, BufferPool Buffers, TableRegistry Tables, FrameMemoryCache Memory, FrameReader Frames,
    long ReadAheadBytes);
