using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Reflection;

namespace ZeroFlow.Host.Telemetry;

/// <summary>What the process and its runtime use, under the names that Prometheus dashboards know.</summary>
internal sealed class ProcessMetrics : IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "ZeroFlow.Process";

    private readonly Meter _meter = new(MeterName);

    /// <summary>Makes the instruments.</summary>
    public ProcessMetrics()
    {
        AddProcess();
        AddCollector();
        AddThreadPool();
        string version = Version;
        _meter.CreateObservableGauge(
            "zeroflow.build_info", () => new Measurement<int>(1, new KeyValuePair<string, object?>("version", version)),
            description: "Always 1; the label holds the version of the server.");
    }

    /// <summary>Version of the server, without build metadata.</summary>
    public static string Version =>
        typeof(ProcessMetrics).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!
            .InformationalVersion.Split('+')[0];

    /// <summary>The meter.</summary>
    public Meter Meter => _meter;

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();

    private void AddProcess()
    {
        using var self = Process.GetCurrentProcess();
        double started = (self.StartTime.ToUniversalTime() - DateTime.UnixEpoch).TotalSeconds;
        _meter.CreateObservableCounter(
            "process.cpu", () => Environment.CpuUsage.TotalTime.TotalSeconds, "s", "CPU time, user and system.");
        _meter.CreateObservableGauge(
            "process.resident_memory", () => Environment.WorkingSet, "By", "Resident memory.");
        _meter.CreateObservableGauge(
            "process.start_time", () => started, "s", "Start of the process since the Unix epoch.");
        _meter.CreateObservableGauge(
            "process.open_fds", () => Directory.EnumerateFileSystemEntries("/proc/self/fd").Count(),
            description: "Open file descriptors.");
    }

    private void AddCollector()
    {
        _meter.CreateObservableGauge(
            "dotnet.gc.heap", () => GC.GetTotalMemory(forceFullCollection: false), "By", "Bytes of managed objects.");
        _meter.CreateObservableGauge(
            "dotnet.gc.committed", () => GC.GetGCMemoryInfo().TotalCommittedBytes, "By",
            "Memory that the collector holds.");
        _meter.CreateObservableCounter(
            "dotnet.gc.allocated", () => GC.GetTotalAllocatedBytes(), "By", "Bytes allocated since the start.");
        _meter.CreateObservableCounter(
            "dotnet.gc.pause", () => GC.GetTotalPauseDuration().TotalSeconds, "s", "Time paused for collections.");
        _meter.CreateObservableCounter(
            "dotnet.gc.collections",
            () => Enumerable.Range(0, GC.MaxGeneration + 1).Select(generation => new Measurement<int>(
                GC.CollectionCount(generation), new KeyValuePair<string, object?>("generation", generation))),
            description: "Collections, those of older generations included.");
    }

    private void AddThreadPool()
    {
        _meter.CreateObservableGauge(
            "dotnet.thread_pool.threads", () => ThreadPool.ThreadCount, description: "Threads of the pool.");
        _meter.CreateObservableGauge(
            "dotnet.thread_pool.queue_length", () => ThreadPool.PendingWorkItemCount,
            description: "Work items that wait for a thread.");
        _meter.CreateObservableCounter(
            "dotnet.thread_pool.completed_items", () => ThreadPool.CompletedWorkItemCount,
            description: "Work items done.");
    }
}
