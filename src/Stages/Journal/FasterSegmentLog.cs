using System.Numerics;
using FASTER.core;

namespace ZeroFlow.Stages.Journal;

/// <summary>
/// One FasterLog over a run of preallocated files, one of them at a time; a file begins at a page of the log, and its
/// offsets are the addresses from there. FasterLog fills its pages and writes them; what is in them, and what survived a
/// crash, is decided by ZeroFlow's own records. Used by one thread at a time.
/// </summary>
/// <remarks>
/// FasterLog's commit metadata is not used: the log is never truncated and is not recovered through FasterLog
/// (docs/decisions/0002-wal-segments.md). A commit here means "the pages are in the operating system".
/// </remarks>
internal sealed class FasterSegmentLog : IDisposable
{
    /// <summary>Offset of the first entry in a file: where FasterLog begins.</summary>
    public const long FirstAddress = 64;

    /// <summary>Bytes that FasterLog puts in front of an entry: its length.</summary>
    public const int EntryHeaderBytes = 4;

    // Two pages: the device writes at once, so the one before is out when the next begins. Nothing is read from them.
    private const int PagesInMemoryLog2 = 1;

    private readonly WalDevice _device = new();
    private readonly FasterLog _log;
    private readonly int _pageBytes;
    private byte[] _draft = [];

    public FasterSegmentLog(int pageBytes)
    {
        _pageBytes = pageBytes;
        _log = new FasterLog(new FasterLogSettings
        {
            LogDevice = _device,
            LogCommitManager = new NoCommitMetadata(),
            LogChecksum = LogChecksumType.None,
            PageSize = pageBytes,
            MemorySize = (long)pageBytes << PagesInMemoryLog2,
            SegmentSize = WalDevice.SegmentBytes,
            TryRecoverLatest = false,
            TolerateDeviceFailure = false,
        });
    }

    /// <summary>Offset in the file behind the last entry.</summary>
    public long TailAddress => _log.TailAddress - _device.FileBegins;

    /// <summary>Bytes of an entry in the log.</summary>
    public static int EntryBytes(int length) => EntryHeaderBytes + ((length + 3) & ~3);

    /// <summary>
    /// Goes on in another file. What was enqueued has to be written out; the file before keeps what it has.
    /// </summary>
    public void Begin(IWalFile file)
    {
        long tail = _log.TailAddress;
        if (tail == FirstAddress)
        {
            _device.Turn(file, 0);
            return;
        }

        // A file begins with a page. What fills up the last page of the file before is dropped by the device.
        long pageRest = (_pageBytes - (tail % _pageBytes)) % _pageBytes;
        _device.Turn(file, tail + pageRest);
        if (pageRest > 0) _log.Enqueue(Draft((int)pageRest - EntryHeaderBytes));
        _log.Enqueue(Draft((int)FirstAddress - EntryHeaderBytes));
    }

    /// <summary>True when an entry that takes <paramref name="bytes"/> still fits into the file.</summary>
    public bool HasRoomFor(long bytes)
    {
        long tail = TailAddress;
        long pageRest = _pageBytes - (tail % _pageBytes);
        long start = bytes <= pageRest ? tail : tail + pageRest;
        return start + bytes <= _device.FileBytes;
    }

    /// <summary>Memory to make an entry in; the next call gives it again, with what was in it.</summary>
    public Span<byte> Draft(int bytes)
    {
        if (_draft.Length < bytes) _draft = new byte[BitOperations.RoundUpToPowerOf2((uint)bytes)];
        return _draft.AsSpan(0, bytes);
    }

    /// <summary>Stages an entry, copying it; returns its offset in the file.</summary>
    public long Enqueue(ReadOnlySpan<byte> entry) => _log.Enqueue(entry) - _device.FileBegins;

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

        // The file of an address is this device's own business.
        private const int SegmentBits = 40;

        private IWalFile? _file;
        private volatile Exception? _failure;

        public WalDevice()
            : base("wal", SectorBytes, Devices.CAPACITY_UNSPECIFIED)
        {
        }

        public static long SegmentBytes => 1L << SegmentBits;

        public Exception? Failure => _failure;

        public long FileBytes => _file?.Length ?? 0;

        /// <summary>Address of the file's first byte.</summary>
        public long FileBegins { get; private set; }

        public void Turn(IWalFile file, long begins) => (_file, FileBegins) = (file, begins);

        public override unsafe void WriteAsync(
            IntPtr sourceAddress, int segmentId, ulong destinationAddress, uint numBytesToWrite,
            DeviceIOCompletionCallback callback, object context)
        {
            uint error = 0;
            try
            {
                // Before the file is what filled up the one before it.
                long offset = ((long)segmentId << SegmentBits) + (long)destinationAddress - FileBegins;
                if (offset + numBytesToWrite > FileBytes) throw new IOException("A record was appended without room for it.");
                if (offset >= 0) _file!.Write(offset, new ReadOnlySpan<byte>((void*)sourceAddress, (int)numBytesToWrite));
            }
            catch (Exception fault)
            {
                _failure ??= fault;
                error = Failed;
            }

            callback(error, numBytesToWrite, context);
        }

        public override void ReadAsync(
            int segmentId, ulong sourceAddress, IntPtr destinationAddress, uint readLength,
            DeviceIOCompletionCallback callback, object context) =>
            throw new NotSupportedException("Nothing is read through FasterLog.");

        public override void RemoveSegmentAsync(int segment, AsyncCallback callback, IAsyncResult result) => callback(result);

        public override void Dispose()
        {
            // The files belong to their segments, which outlive the log.
        }
    }

    /// <summary>The log needs no commit metadata: nothing is kept, nothing is found.</summary>
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
