using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Pipeline.Telemetry;

namespace ZeroFlow.Host.Telemetry;

/// <summary>
/// Sends metrics and traces by OTLP, through OpenTelemetry's own exporter, which also reads its usual variables
/// (<c>OTEL_EXPORTER_OTLP_*</c>, <c>OTEL_METRIC_EXPORT_INTERVAL</c>, <c>OTEL_RESOURCE_ATTRIBUTES</c>). What was recorded
/// when it is disposed is sent first, for a moment.
/// </summary>
internal sealed class OtlpExport : IDisposable
{
    private const string ProtocolVariable = "OTEL_EXPORTER_OTLP_PROTOCOL";

    private static readonly TimeSpan LastSend = TimeSpan.FromSeconds(3);

    private readonly OtlpFaults _faults;
    private readonly MeterProvider _metrics;
    private readonly TracerProvider? _traces;

    private OtlpExport(ServeSettings settings, OtlpFaults faults)
    {
        _faults = faults;
        ResourceBuilder resource = ResourceBuilder.CreateEmpty()
            .AddService(
                "zeroflow", serviceVersion: ProcessMetrics.Version,
                serviceInstanceId: $"{Environment.MachineName}:{settings.Listen?.ToString() ?? settings.SocketPath}")
            .AddTelemetrySdk()
            .AddEnvironmentVariableDetector();
        _metrics = Sdk.CreateMeterProviderBuilder()
            .SetResourceBuilder(resource)
            .AddMeter(PipelineMetrics.MeterName, ProcessMetrics.MeterName)
            .AddView(BucketsOf)
            .AddOtlpExporter(options => Aim(options, settings.OtlpEndpoint, "v1/metrics"))
            .Build();
        if (settings.TraceOneIn == 0) return;

        // Which requests are traced was decided where they arrived.
        _traces = Sdk.CreateTracerProviderBuilder()
            .SetResourceBuilder(resource)
            .AddSource(PipelineTraces.SourceName)
            .SetSampler(new AlwaysOnSampler())
            .AddOtlpExporter(options => Aim(options, settings.OtlpEndpoint, "v1/traces"))
            .Build();
    }

    /// <summary>Begins to send; null when nothing says where to. Traces are turned on, too.</summary>
    public static OtlpExport? Start(ServeSettings settings, PipelineMetrics pipeline, ILoggerFactory loggers)
    {
        if (!settings.IsOtlpOn) return null;
        pipeline.Traces.OneIn = settings.TraceOneIn;
        return new OtlpExport(settings, new OtlpFaults(TimeProvider.System, loggers.CreateLogger<OtlpExport>()));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _traces?.ForceFlush((int)LastSend.TotalMilliseconds);
        _metrics.ForceFlush((int)LastSend.TotalMilliseconds);
        _traces?.Dispose();
        _metrics.Dispose();
        _faults.Dispose();
    }

    // The same bounds as in /metrics: the exporter's own are made for milliseconds.
    private static MetricStreamConfiguration? BucketsOf(Instrument instrument) => instrument is Histogram<double> or Histogram<long>
        ? new ExplicitBucketHistogramConfiguration { Boundaries = HistogramBuckets.ForUnit(instrument.Unit) }
        : null;

    // HTTP is what the specification has as the default, and the port of the setting is its port. The exporter appends the
    // path by itself to what it takes from the environment only.
    private static void Aim(OtlpExporterOptions options, Uri? endpoint, string path)
    {
        if (endpoint is not null || Environment.GetEnvironmentVariable(ProtocolVariable) is not { Length: > 0 })
            options.Protocol = OtlpExportProtocol.HttpProtobuf;
        if (endpoint is not null) options.Endpoint = new Uri($"{endpoint.AbsoluteUri.TrimEnd('/')}/{path}");
    }
}
