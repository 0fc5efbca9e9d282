using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Operations;

// What leaves by OTLP, as a receiver gets it over the wire.
public sealed class TelemetryTests(ZeroFlowBinary binary)
{
    private const string Disk = "disk";

    [Fact]
    public async Task A_traced_write_is_seen_through_every_stage_into_the_bucket_and_a_read_out_of_it()
    {
        using var receiver = new OtlpReceiver();
        using var folder = new TestFolder();
        var settings = await SettingsAsync(folder, receiver, oneIn: 1);
        await using (var server = await ZeroFlowServer.StartAsync(settings))
        {
            await using var client = await NbdClient.ConnectAsync(server.Port, Disk);
            await client.WriteAsync(0, new byte[4096]);
            await client.FlushAsync();
            await client.DisconnectAsync();
            Assert.Equal(0, await server.StopAsync());
        }

        var write = Assert.Single(receiver.Spans, span => span.Name == "nbd write");
        Assert.Equal("", write.ParentId);
        var trace = receiver.Spans.Where(span => span.TraceId == write.TraceId).ToArray();
        AssertPart("sequence", "nbd write");
        AssertPart("journal", "nbd write");
        AssertPart("publish", "nbd write");
        foreach (var stage in (string[])["chunk", "compress", "seal", "table", "upload", "commit"]) AssertPart(stage, "publish");
        AssertPart("store create", "upload");
        Assert.All(receiver.Spans, span => Assert.True(span.EndNanoseconds >= span.StartNanoseconds, $"{span.Name} ends before it begins."));
        var flush = Assert.Single(receiver.Spans, span => span.Name == "nbd flush");
        Assert.Contains(receiver.Spans, span => span.Name == "barrier" && span.ParentId == flush.SpanId);

        await using (var server = await ZeroFlowServer.StartAsync(settings))
        {
            await using var client = await NbdClient.ConnectAsync(server.Port, Disk);
            await client.ReadAsync(0, new byte[4096]);
            await client.DisconnectAsync();
            Assert.Equal(0, await server.StopAsync());
        }

        var read = Assert.Single(receiver.Spans, span => span.Name == "nbd read");
        Assert.Contains(receiver.Spans, span => span.Name == "store range" && span.TraceId == read.TraceId);

        void AssertPart(string name, string of)
        {
            var part = Assert.Single(trace, span => span.Name == name);
            Assert.Equal(of, Assert.Single(trace, span => span.SpanId == part.ParentId).Name);
        }
    }

    [Fact]
    public async Task Metrics_leave_with_the_names_and_units_of_their_instruments_and_traces_can_be_left_out()
    {
        using var receiver = new OtlpReceiver();
        using var folder = new TestFolder();
        await using (var server = await ZeroFlowServer.StartAsync(await SettingsAsync(folder, receiver, oneIn: 0)))
        {
            await using var client = await NbdClient.ConnectAsync(server.Port, Disk);
            await client.WriteAsync(0, new byte[4096]);
            await client.FlushAsync();
            await client.DisconnectAsync();
            Assert.Equal(0, await server.StopAsync());
        }

        Assert.Equal("s", receiver.Metrics["zeroflow.barrier.duration"]);
        Assert.Equal("By", receiver.Metrics["zeroflow.store.dirty"]);
        Assert.Contains("zeroflow.stage.messages.in", receiver.Metrics.Keys);
        Assert.Contains("process.resident_memory", receiver.Metrics.Keys);
        Assert.Contains("zeroflow", receiver.Resource);
        Assert.Empty(receiver.Spans);
    }

    // A receiver that is not there costs nothing but a line.
    [Fact]
    public async Task Without_a_receiver_the_server_serves_and_stops_as_ever()
    {
        using var folder = new TestFolder();
        using var gone = new OtlpReceiver();
        var settings = await SettingsAsync(folder, gone, oneIn: 1);
        gone.Dispose();
        await using var server = await ZeroFlowServer.StartAsync(settings);
        await using (var client = await NbdClient.ConnectAsync(server.Port, Disk))
        {
            await client.WriteAsync(0, new byte[4096]);
            await client.FlushAsync();
            await client.DisconnectAsync();
        }

        Assert.Equal(0, await server.StopAsync());
        Assert.Equal(1, server.Log.Split("Metrics or traces could not be sent").Length - 1);
    }

    private async Task<ServerSettings> SettingsAsync(TestFolder folder, OtlpReceiver receiver, int oneIn) =>
        new(await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"))
        {
            Exports = [$"{Disk}:16M:journaled"],
            Options =
            [
                "--set", $"Telemetry:Otlp:Endpoint=http://127.0.0.1:{receiver.Port}", "--set", $"Telemetry:TraceOneIn={oneIn}",
            ],
            Tuning = new Dictionary<string, string> { ["PublishInterval"] = "50ms" },
        };
}
