using ZeroFlow.SystemTests.Oracle;
using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.StandIns;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Operations;

// That a FLUSH reached stable storage cannot be seen by killing a process: the kernel keeps what it was handed. The
// system calls can be seen, in their order.
public sealed class SyncProofTests(ZeroFlowBinary binary)
{
    private const int Turns = 5;
    private static readonly string[] Writes = ["write", "writev", "pwrite64", "pwritev", "pwritev2"];
    private static readonly string[] Syncs = ["fsync", "fdatasync"];

    [Fact]
    public async Task FLUSH_is_answered_after_the_log_and_its_directory_entries_are_synced()
    {
        Require.Tool("strace");
        using var folder = new TestFolder();
        var trace = folder["trace"];
        var settings = new ServerSettings(
            await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"))
        {
            Exports = ["disk:16M:journaled"],
            Under = SystemCallTrace.Command(trace),
        };
        await using (var server = await ZeroFlowServer.StartAsync(settings))
        {
            await WriteAndFlushAsync(server.Port);
            Assert.Equal(0, await server.StopAsync());
        }

        var calls = SystemCallTrace.Read(trace);
        var wal = Path.Combine(settings.Data, "wal");
        AssertSynced(calls, wal);
        AssertEntriesSynced(calls, wal, Reply(calls, cookie: 2).Began);
    }

    // A directory as the object store: a table counts once its bytes are stable, and then its name is.
    [Fact]
    public async Task FLUSH_of_a_published_export_is_answered_after_the_table_and_its_name_are_synced()
    {
        Require.Tool("strace");
        using var folder = new TestFolder();
        var trace = folder["trace"];
        var settings = new ServerSettings(
            await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"))
        {
            Exports = ["disk:16M:published"],
            Under = SystemCallTrace.Command(trace),
        };
        await using (var server = await ZeroFlowServer.StartAsync(settings))
        {
            await WriteAndFlushAsync(server.Port);
            Assert.Equal(0, await server.StopAsync());
        }

        var calls = SystemCallTrace.Read(trace);
        for (var turn = 0; turn < Turns; turn++)
        {
            var (written, flushed) = (Reply(calls, (2 * turn) + 1), Reply(calls, (2 * turn) + 2));
            var tables = calls.Where(c =>
                c.Name is "link" or "linkat" && c.Succeeded && c.Ended < flushed.Ended
                && c.Text.Contains($"{folder["store"]}/chain/", StringComparison.Ordinal)).ToArray();
            var table = tables.LastOrDefault();
            Assert.True(table is not null && table.Ended > written.Began, $"No table came into the chain for FLUSH {turn}.");
            var (from, to) = (table.Text.Split('"')[1], table.Text.Split('"')[3]);
            Assert.Contains(calls, c =>
                Syncs.Contains(c.Name) && c.Succeeded && c.Path == from && c.Ended < table.Began);
            Assert.Contains(calls, c =>
                Syncs.Contains(c.Name) && c.Succeeded && c.Path == Path.GetDirectoryName(to)
                && c.Began > table.Ended && c.Ended < flushed.Began);
        }
    }

    // The proof itself, on a server that is known to sync, and on one that has nothing to sync.
    [Fact]
    public async Task The_proof_accepts_a_server_that_syncs_and_no_other()
    {
        Require.Tool("strace", "nbdkit");
        using var folder = new TestFolder();
        await using (var file = File.Create(folder["image"])) file.SetLength(16 * 1024 * 1024);
        var under = SystemCallTrace.Command(folder["trace"]);
        await using (var server = await ReferenceServer.NbdkitFileAsync(folder["image"], under))
        {
            await WriteAndFlushAsync(server.Port);
        }

        AssertSynced(SystemCallTrace.Read(folder["trace"]), folder["image"]);
        var unsynced = SystemCallTrace.Read(folder["trace"]).Where(c => !Syncs.Contains(c.Name)).ToArray();
        Assert.ThrowsAny<Exception>(() => AssertSynced(unsynced, folder["image"]));
    }

    private static async Task WriteAndFlushAsync(int port)
    {
        await using var client = await NbdClient.ConnectAsync(port, "disk");
        var data = new byte[4096];
        for (var turn = 0; turn < Turns; turn++)
        {
            SectorStamp.Fill(data, 1, turn * 4096, turn + 1);
            await client.WriteAsync(turn * 4096, data);
            await client.FlushAsync();
        }

        await client.DisconnectAsync();
    }

    private static void AssertSynced(IReadOnlyList<SystemCall> calls, string wal)
    {
        for (var turn = 0; turn < Turns; turn++) AssertSynced(calls, wal, write: (2 * turn) + 1, flush: (2 * turn) + 2);
    }

    // The log was written before the write's reply, and that file was synced between then and the FLUSH's reply.
    private static void AssertSynced(IReadOnlyList<SystemCall> calls, string wal, int write, int flush)
    {
        var (written, flushed) = (Reply(calls, write), Reply(calls, flush));
        var record = calls.LastOrDefault(c =>
            Writes.Contains(c.Name) && c.Path.StartsWith(wal, StringComparison.Ordinal)
            && c.Succeeded && c.Ended < written.Ended);
        Assert.True(record is not null, $"No write into {wal} before the reply to request {write}.");
        var sync = calls.FirstOrDefault(c =>
            Syncs.Contains(c.Name) && c.Path == record.Path
            && c.Succeeded && c.Began > record.Ended && c.Ended < flushed.Ended);
        var between = calls.Where(c => c.Began >= record.Began && c.Ended <= flushed.Ended).Select(c => c.Text);
        Assert.True(
            sync is not null,
            $"{record.Path} is not synced between its write (line {record.Ended}) and the reply to FLUSH "
                + $"(line {flushed.Began}):\n{string.Join('\n', between)}");
    }

    // A file whose directory entry is lost is lost, however well its contents are synced.
    private static void AssertEntriesSynced(IReadOnlyList<SystemCall> calls, string wal, int before)
    {
        var created = calls.Where(c =>
            c.Name == "openat" && c.Succeeded && c.Ended < before
            && c.Text.Contains("O_CREAT", StringComparison.Ordinal)
            && c.Text.Contains($"\"{wal}/", StringComparison.Ordinal)).ToArray();
        Assert.True(created.Length > 0, $"No file was created below {wal}.");
        foreach (var creation in created)
        {
            var file = creation.Text.Split('"')[1];
            Assert.True(
                calls.Any(c =>
                    Syncs.Contains(c.Name) && c.Succeeded && c.Path == Path.GetDirectoryName(file)
                    && c.Began > creation.Ended && c.Ended < before),
                $"The directory of {file} is not synced between its creation and the first FLUSH's reply.");
        }
    }

    // Replies begin with the magic 0x67446698 and end with the cookie; the tests' client counts its cookies from 1.
    private static SystemCall Reply(IReadOnlyList<SystemCall> calls, int cookie)
    {
        var last = cookie is >= 9 and <= 13 ? $"{"tnvfr"[cookie - 9]}" : Convert.ToString(cookie, 8);
        var text = @"gDf\230\0\0\0\0\0\0\0\0\0\0\0\" + last;
        var reply = calls.FirstOrDefault(
            c => c.Name is "sendto" or "sendmsg" && c.Text.Contains(text + '"', StringComparison.Ordinal));
        Assert.True(reply is not null, $"There is no reply to request {cookie} in the trace.");
        return reply;
    }
}
