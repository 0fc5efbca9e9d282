using System.Diagnostics.Metrics;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;

namespace ZeroFlow.Nbd.Tests.Servers;

public sealed class MetricsTests
{
    [Fact]
    public async Task Requests_bytes_durations_and_connections_are_counted_by_export_and_operation()
    {
        await using TestServer server = await TestServer.StartAsync();
        Dictionary<string, double> seen = [];
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, l) =>
        {
            if (instrument.Meter == server.Metrics.Meter) l.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((i, value, tags, _) => Note(i, value, tags));
        listener.SetMeasurementEventCallback<int>((i, value, tags, _) => Note(i, value, tags));
        listener.SetMeasurementEventCallback<double>((i, _, tags, _) => Note(i, 1, tags));
        listener.Start();

        using RawClient client = server.Attach();
        client.Call(NbdCommand.Write, 0, 3, 0, 1, 2, 3);
        client.ReadExport(0, 3);
        client.ReadExport(0, 2);
        client.Call(NbdCommand.Read, TestServer.SizeBytes, 9);
        client.Call((NbdCommand)77, 0, 1);
        listener.RecordObservableInstruments();

        lock (seen)
        {
            Assert.Equal(1, seen["zeroflow.nbd.connections"]);
            Assert.Equal(2, seen["zeroflow.export.requests export=disk op=read result=ok"]);
            Assert.Equal(1, seen["zeroflow.export.requests export=disk op=read result=EINVAL"]);
            Assert.Equal(1, seen["zeroflow.export.requests export=disk op=write result=ok"]);
            Assert.Equal(1, seen["zeroflow.export.requests export=disk op=unsupported result=EINVAL"]);
            Assert.Equal(5, seen["zeroflow.export.bytes export=disk op=read"]);
            Assert.Equal(3, seen["zeroflow.export.bytes export=disk op=write"]);
            Assert.Equal(3, seen["zeroflow.export.request.duration export=disk op=read"]);
            Assert.Equal(5, seen["zeroflow.stage.messages.in stage=admit"]);
        }

        void Note(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            string key = instrument.Name;
            foreach (KeyValuePair<string, object?> tag in tags) key += $" {tag.Key}={tag.Value}";
            lock (seen) seen[key] = seen.GetValueOrDefault(key) + value;
        }
    }
}
