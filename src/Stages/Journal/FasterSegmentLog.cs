using FASTER.core;

namespace ZeroFlow.Stages.Journal;

/// <summary>
/// One FasterLog over one preallocated file, whose offsets are the log's addresses. FasterLog fills its pages and writes
/// them; what is in them, and what survived a crash, is decided by ZeroFlow's own records.
/// </summary>
/// <remarks>
/// FasterLog's commit metadata is not used: the log of a segment is never truncated and is not recovered through
/// FasterLog (docs/decisions/0002-wal-segments.md). A commit here means "the pages are in the operating system".
/// </remarks>
internal sealed class FasterSegmentLog : IDisposable
{
    /// <summary>Address of the first entry in a FasterLog.</summary>
    public const long FirstAddress = 64;

    /// <summary>Bytes that FasterLog puts in front of an entry: its length.</summary>
    public const int EntryHeaderBytes = 4;

    // Two pages: the device writes at once, so the one before is out when the next begins. Nothing is read from them.
    private const int PagesInMemoryLog2 = 1;

    private readonly WalDevice _device;
    private readonly FasterLog _log;
    private readonly long _fileBytes;
    private readonly int _pageBytes;

    public FasterSegmentLog(IWalFile file, int pageBytes)
    {
        _fileBytes = file.Length;
        _pageBytes = pageBytes;
        _device = new WalDevice(file);
        _log = new FasterLog(new FasterLogSettings
        {
            LogDevice = _device,
            LogCommitManager = new NoCommitMetadata(),
            LogChecksum = LogChecksumType.None,
            PageSize = pageBytes,
            MemorySize = (long)pageBytes << PagesInMemoryLog2,
            SegmentSize = (long)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)file.Length),
            TryRecoverLatest = false,
            TolerateDeviceFailure = false,
        });
    }

    /// <summary>Address behind the last entry.</summary>
    public long TailAddress => _log.TailAddress;

    /// <summary>Bytes of an entry in the log.</summary>
    public static int EntryBytes(int length) => EntryHeaderBytes + ((length + 3) & ~3);

    /// <summary>True when an entry that takes <paramref name="bytes"/> still fits into the file.</summary>
    public bool HasRoomFor(long bytes)
    {
        long tail = _log.TailAddress;
        long pageRest = _pageBytes - (tail % _pageBytes);
        long start = bytes <= pageRest ? tail : tail + pageRest;
        return start + bytes <= _fileBytes;
    }

    /// <summary>Stages an entry, copying it; returns its address.</summary>
    public long Enqueue(ReadOnlySpan<byte> entry) => _log.Enqueue(entry);

    /// <summary>Writes all staged entries to the file.</summary>
    /// <exception cref="IOException">The device failed; the log stays failed.</exception>
    public async ValueTask WriteOutAsync()
    {
        long tail = _log.TailAddress;
        try
        {
            if (_log.FlushedUntilAddress < tail) _log.Commit(spinWait: false);

            // The device writes on the calling thread, so the pages are out by now; FasterLog's word that they are
            // committed comes later, from the thread pool, and is not waited for.
            if (_log.FlushedUntilAddress < tail && _device.Failure is null) await _log.WaitForCommitAsync(tail);
        }
        catch (CommitFailureException failed)
        {
            throw new IOException("The WAL's device refused a write.", _device.Failure ?? failed);
        }

        if (_device.Failure is { } failure) throw new IOException("The WAL's device refused a write.", failure);
    }

    /// <summary>Waits until FasterLog is done with what was written out: disposing of it would spin until then.</summary>
    public async ValueTask SettleAsync()
    {
        long tail = _log.TailAddress;
        if (_log.CommittedUntilAddress >= tail) return;
        _log.Commit(spinWait: false);
        await _log.WaitForCommitAsync(tail);
    }

    public void Dispose()
    {
        _log.Dispose();
        _device.Dispose();
    }

    /// <summary>FasterLog's device: plain positioned writes on the calling thread. Syncing is the WAL's business.</summary>
    private sealed class WalDevice : StorageDeviceBase
    {
        // Whole pages of the page cache: writing a part of one that was evicted would first read it from the disk.
        private const uint SectorBytes = 4096;
        private const uint Failed = uint.MaxValue;

        private readonly IWalFile _file;
        private volatile Exception? _failure;

        public WalDevice(IWalFile file)
            : base("wal", SectorBytes, Devices.CAPACITY_UNSPECIFIED) => _file = file;

        public Exception? Failure => _failure;

        public override unsafe void WriteAsync(
            IntPtr sourceAddress, int segmentId, ulong destinationAddress, uint numBytesToWrite,
            DeviceIOCompletionCallback callback, object context)
        {
            uint error = 0;
            try
            {
                if ((long)destinationAddress + numBytesToWrite > _file.Length)
                    throw new IOException("A record was appended without room for it.");
                _file.Write((long)destinationAddress, new ReadOnlySpan<byte>((void*)sourceAddress, (int)numBytesToWrite));
            }
            catch (Exception fault)
            {
                _failure ??= fault;
                error = Failed;
            }

            callback(error, numBytesToWrite, context);
        }

        public override unsafe void ReadAsync(
            int segmentId, ulong sourceAddress, IntPtr destinationAddress, uint readLength,
            DeviceIOCompletionCallback callback, object context)
        {
            int read = _file.Read((long)sourceAddress, new Span<byte>((void*)destinationAddress, (int)readLength));
            callback(0, (uint)read, context);
        }

        public override void RemoveSegmentAsync(int segment, AsyncCallback callback, IAsyncResult result) => callback(result);

        public override void Dispose()
        {
            // The file belongs to the segment, which outlives its log.
        }
    }

    /// <summary>A segment needs no commit metadata: nothing is kept, nothing is found.</summary>
    private sealed class NoCommitMetadata : ILogCommitManager
    {
        public void Commit(long beginAddress, long untilAddress, byte[] commitMetadata, long commitNum, bool forceWriteMetadata)
        {
        }

        public byte[] GetCommitMetadata(long commitNum) => [];

        public IEnumerable<long> ListCommits() => [];

        public void RemoveCommit(long commitNum)
        {
        }

        public void RemoveAllCommits()
        {
        }

        public void OnRecovery(long commitNum)
        {
        }

        public void Dispose()
        {
        }
    }
}
