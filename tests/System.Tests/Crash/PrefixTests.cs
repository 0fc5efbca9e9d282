using ZeroFlow.SystemTests.Oracle;
using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Crash;

// A pool striped over three exports must find three devices of the same instant, or it is no pool any more.
public sealed class PrefixTests(ZeroFlowBinary binary)
{
    private const int Bytes = 16 * 1024 * 1024;
    private static readonly string[] Disks = ["left", "middle", "right"];

    // One writer waits for each answer before it sends the next request, round the three exports: the whole history is
    // one order. After the loss of the local disk, the three images together are a beginning of it.
    [Fact]
    public async Task Without_the_local_disk_three_exports_are_one_prefix_of_the_history()
    {
        using var folder = new TestFolder();
        var settings = new ServerSettings(
            await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"))
        {
            Exports = [.. Disks.Select(d => $"{d}:{Bytes}:journaled")],
            Tuning = new Dictionary<string, string>
            {
                ["TableBytes"] = "256K",
                ["PublishInterval"] = "50ms",
                ["CheckpointTables"] = "8",
            },
        };
        var sequencer = new Sequencer();
        var histories = Disks.Select((disk, i) => new ImageHistory(disk, (uint)i + 1, Bytes, sequencer)).ToArray();
        var random = new Random(5);
        long recovered = 0;
        for (var round = 0; round < 4; round++)
        {
            await using (var server = await ZeroFlowServer.StartAsync(settings))
            {
                if (round > 0) recovered += await AssertPrefixAsync(server, histories);
                await WriteInOrderAndKillAsync(server, histories, random);
            }

            Crashes.Wipe(settings);
        }

        await using var last = await ZeroFlowServer.StartAsync(settings);
        recovered += await AssertPrefixAsync(last, histories);
        Assert.True(recovered > 0, "Nothing ever reached the bucket: an empty image is a prefix of everything.");
    }

    private static async Task WriteInOrderAndKillAsync(ZeroFlowServer server, ImageHistory[] histories, Random random)
    {
        var kill = KillAfterAsync(server, random.Next(500, 1500));
        var clients = await Task.WhenAll(histories.Select(h => NbdClient.ConnectAsync(server.Port, h.Export)));
        try
        {
            for (var turn = 0; ; turn++)
            {
                var history = histories[turn % histories.Length];
                var client = clients[turn % histories.Length];
                var sectors = random.Next(1, 65);
                var kind = random.Next(8) == 0 ? OperationKind.Zero : OperationKind.Write;
                var operation = history.TryBegin(kind, random.Next(history.Sectors - sectors), sectors)!;
                await SendAsync(client, history, operation);
                history.Acknowledge(operation);
                if (turn % 50 == 0) await client.FlushAsync();
            }
        }
        catch (IOException)
        {
            await kill;
        }
        finally
        {
            foreach (var client in clients) await client.DisposeAsync();
        }
    }

    private static async Task KillAfterAsync(ZeroFlowServer server, int milliseconds)
    {
        await Task.Delay(milliseconds);
        await server.KillAsync();
    }

    private static Task SendAsync(NbdClient client, ImageHistory history, Operation operation)
    {
        if (operation.Kind == OperationKind.Zero) return client.WriteZeroesAsync(operation.Offset, operation.Length);
        var data = new byte[operation.Length];
        SectorStamp.Fill(data, history.Number, operation.Offset, operation.Sequence);
        return client.WriteAsync(operation.Offset, data);
    }

    // Returns how many writes of the last round are in the prefix.
    private static async Task<long> AssertPrefixAsync(ZeroFlowServer server, ImageHistory[] histories)
    {
        var images = await Task.WhenAll(histories.Select(h => Image.ReadAsync(server.Port, h)));
        foreach (var (history, image) in histories.Zip(images))
        {
            var foreign = string.Join('\n', image.Foreign.Take(5));
            Assert.True(foreign.Length == 0, $"{history.Export}: {foreign}\n{server.Log}");
        }

        var operations = histories.SelectMany(h => h.Operations).OrderBy(o => o.Sequence).ToArray();
        var newest = images.Max(i => i.States.Max()) ?? 0;

        // Zeroes after the newest write that is seen leave no number behind: each of them may be the end as well.
        var ends = operations.SkipWhile(o => o.Sequence <= newest).TakeWhile(o => o.Kind == OperationKind.Zero)
            .Select(o => o.Sequence).Prepend(newest);
        var differences = ends.Select(end => Difference(histories, images, end)).ToArray();
        Assert.True(
            differences.Contains(null), $"No prefix of the history gives these images: {differences[0]}\n{server.Log}");
        foreach (var (history, image) in histories.Zip(images)) history.AcceptAfterCrash(image, Promise.Flushed);
        return operations.Count(o => o.Sequence <= newest);
    }

    private static string? Difference(ImageHistory[] histories, Image[] images, long end) =>
        histories.Zip(images, (history, image) => history.DiffersFromPrefix(image, end))
            .FirstOrDefault(difference => difference is not null);
}
