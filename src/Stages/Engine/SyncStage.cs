using System.Diagnostics.Metrics;
using System.Threading.Channels;
using ZeroFlow.Pipeline.Barriers;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages.Journal;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// Group commit: one actor that makes the WAL stable for all barriers that wait. A barrier that comes while a sync is
/// under way shares the next one with everybody else who came meanwhile.
/// </summary>
/// <remarks>It runs beside the journal, so that writes are taken and answered while the device syncs.</remarks>
internal sealed class SyncStage
{
    private readonly Channel<bool> _wanted = Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });
    private readonly IWriteAheadLog _wal;
    private readonly JournalStage _journal;
    private readonly SequenceFrontier _stable;
    private readonly StoreSupervisor _supervisor;
    private readonly TimeProvider _time;
    private readonly Histogram<double> _seconds;

    public SyncStage(
        IWriteAheadLog wal, JournalStage journal, SequenceFrontier stable, StoreSupervisor supervisor, TimeProvider time,
        PipelineMetrics metrics)
    {
        _wal = wal;
        _journal = journal;
        _stable = stable;
        _supervisor = supervisor;
        _time = time;
        _seconds = metrics.Meter.CreateHistogram<double>(
            "zeroflow.wal.sync.duration", "s", "Time that one sync of the WAL takes on the device.");
    }

    /// <summary>Completes when everything up to <paramref name="point"/> is on stable local storage.</summary>
    public ValueTask WhenStableAsync(Sequence point)
    {
        if (_stable.Reached < point) _wanted.Writer.TryWrite(true);
        return _stable.WhenReachedAsync(point);
    }

    /// <summary>Ends the loop.</summary>
    public void Complete() => _wanted.Writer.TryComplete();

    /// <summary>The actor's loop.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        while (await _wanted.Reader.WaitToReadAsync(cancellation))
        {
            // The wish is taken before the point is read: a barrier that comes later wishes again.
            _wanted.Reader.TryRead(out _);
            Sequence point = _journal.Appended;
            long started = _time.GetTimestamp();
            try
            {
                _wal.Sync();
            }
            catch (Exception fault)
            {
                _supervisor.Fail("sync", fault);
                return;
            }

            _seconds.Record(_time.GetElapsedTime(started).TotalSeconds);
            _stable.AdvanceTo(point);
        }
    }
}
