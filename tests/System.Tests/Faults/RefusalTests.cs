using System.Globalization;
using System.Net;
using System.Net.Sockets;
using ZeroFlow.SystemTests.Oracle;
using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Faults;

// What is wrong is said in one clear sentence, nothing is damaged, and after the repair everything is there.
public sealed class RefusalTests(ZeroFlowBinary binary, RadosGateway gateway)
{
    private const string Disk = "disk";
    private const int Bytes = 16 * 1024 * 1024;
    private const int Written = 4 * 1024 * 1024;
    private const int FooterBytes = 192;

    [Fact]
    public async Task A_wrong_passphrase_is_refused()
    {
        using var folder = new TestFolder();
        var settings = await WrittenStoreAsync(folder);
        await Refusals.AssertRefusesAsync(settings with { Passphrase = "not the passphrase" }, "passphrase");
        await AssertIntactAsync(settings);
    }

    [Theory]
    [InlineData("listen")]
    [InlineData("admin")]
    public async Task A_port_in_use_is_named(string which)
    {
        using var folder = new TestFolder();
        var settings = await WrittenStoreAsync(folder);
        using (var other = new TcpListener(IPAddress.Loopback, which == "listen" ? settings.Port : settings.AdminPort))
        {
            other.Start();
            await Refusals.AssertRefusesAsync(settings, $"{((IPEndPoint)other.LocalEndpoint).Port}.*in use");
        }

        await AssertIntactAsync(settings);
    }

    [Fact]
    public async Task A_missing_bucket_is_named()
    {
        using var folder = new TestFolder();
        var store = StorePlace.InBucket(await gateway.PortAsync(), "anywhere", bucket: "no-such-bucket");
        var settings = new ServerSettings(await binary.PathAsync(), store, folder.Make("data"));
        await Refusals.AssertRefusesAsync(settings, "no-such-bucket");
    }

    [Fact]
    public async Task A_missing_store_directory_is_named()
    {
        using var folder = new TestFolder();
        var settings = new ServerSettings(
            await binary.PathAsync(), StorePlace.InDirectory(folder["nowhere/at/all"]), folder.Make("data"));
        await Refusals.AssertRefusesAsync(settings, "nowhere/at/all");
        Assert.False(Directory.Exists(folder["nowhere"]), "A mistyped directory must not become a new, empty store.");
    }

    [Fact]
    public async Task A_truncated_table_is_named_and_nothing_is_served_from_it()
    {
        using var folder = new TestFolder();
        var settings = await WrittenStoreAsync(folder);
        var table = LargestTable(folder);
        var whole = await File.ReadAllBytesAsync(table, TestContext.Current.CancellationToken);
        await File.WriteAllBytesAsync(table, whole[..^100], TestContext.Current.CancellationToken);
        await Refusals.AssertRefusesAsync(settings, Path.GetFileName(table));
        await File.WriteAllBytesAsync(table, whole, TestContext.Current.CancellationToken);
        await AssertIntactAsync(settings);
    }

    // A flipped byte in the data is found when it is read: that read fails, and everything else is served.
    [Fact]
    public async Task A_flipped_byte_in_the_data_fails_the_reads_that_need_it_and_no_others()
    {
        using var folder = new TestFolder();
        var settings = await WrittenStoreAsync(folder);
        var table = LargestTable(folder);
        Flip(table, new FileInfo(table).Length / 2);
        await using (var server = await ZeroFlowServer.StartAsync(settings))
        {
            await using var client = await NbdClient.ConnectAsync(server.Port, Disk);
            var (good, bad) = (0, 0);
            for (long offset = 0; offset < Written; offset += 128 * 1024)
            {
                try
                {
                    var data = new byte[128 * 1024];
                    await client.ReadAsync(offset, data);
                    AssertStamped(data, offset);
                    good++;
                }
                catch (NbdException e)
                {
                    Assert.Equal(5u, e.Code);
                    bad++;
                }
            }

            Assert.True(bad is 1 or 2 && good > 0, $"{good} reads were good and {bad} failed.\n{server.Log}");
            Refusals.AssertSays(server, Path.GetFileName(table));
            await server.KillAsync();
        }

        Flip(table, new FileInfo(table).Length / 2);
        await AssertIntactAsync(settings);
    }

    // The index stands in front of the footer, which is the last 192 bytes (docs/formats.md).
    [Theory]
    [InlineData(FooterBytes + 20)]
    [InlineData(FooterBytes - 40)]
    public async Task A_flipped_byte_in_the_index_or_the_footer_is_refused(int fromEnd)
    {
        using var folder = new TestFolder();
        var settings = await WrittenStoreAsync(folder);
        var table = LargestTable(folder);
        Flip(table, new FileInfo(table).Length - fromEnd);
        await Refusals.AssertRefusesAsync(settings, Path.GetFileName(table));
        Flip(table, new FileInfo(table).Length - fromEnd);
        await AssertIntactAsync(settings);
    }

    // The version follows the magic of 8 bytes, at the beginning of the table and of its footer.
    [Fact]
    public async Task A_table_of_a_newer_format_is_refused_as_such()
    {
        using var folder = new TestFolder();
        var settings = await WrittenStoreAsync(folder);
        var table = LargestTable(folder);
        var whole = await File.ReadAllBytesAsync(table, TestContext.Current.CancellationToken);
        var newer = (byte[])whole.Clone();
        newer[8] = newer[^(FooterBytes - 8)] = 9;
        await File.WriteAllBytesAsync(table, newer, TestContext.Current.CancellationToken);
        await Refusals.AssertRefusesAsync(
            settings, $"{Path.GetFileName(table)}.*newer|newer.*{Path.GetFileName(table)}");
        await File.WriteAllBytesAsync(table, whole, TestContext.Current.CancellationToken);
        await AssertIntactAsync(settings);
    }

    // Files that people drop into buckets are not ours to judge, or to delete.
    [Fact]
    public async Task An_object_with_an_odd_name_does_no_harm_and_stays()
    {
        using var folder = new TestFolder();
        var settings = await WrittenStoreAsync(folder);
        string[] strangers =
            [folder["store/notes.txt"], Path.Combine(Path.GetDirectoryName(LargestTable(folder))!, "notes.txt")];
        foreach (var stranger in strangers)
        {
            await File.WriteAllTextAsync(stranger, "mine", TestContext.Current.CancellationToken);
        }

        await AssertIntactAsync(settings);
        Assert.All(strangers, stranger => Assert.Equal("mine", File.ReadAllText(stranger)));
    }

    // Garbage at the number that comes next is neither table nor seal: not a reason to overwrite it, nor to go past it.
    [Fact]
    public async Task Garbage_at_the_next_number_is_refused_and_stays()
    {
        using var folder = new TestFolder();
        var settings = await WrittenStoreAsync(folder);
        var garbage = NextNumber(folder);
        await File.WriteAllTextAsync(garbage, "this is no table", TestContext.Current.CancellationToken);
        await Refusals.AssertRefusesAsync(settings, Path.GetFileName(garbage));
        Assert.Equal("this is no table", await File.ReadAllTextAsync(garbage, TestContext.Current.CancellationToken));
        File.Delete(garbage);
        await AssertIntactAsync(settings);
    }

    private static IEnumerable<FileInfo> Chain(TestFolder folder) =>
        new DirectoryInfo(folder["store/chain"]).EnumerateFiles("*", SearchOption.AllDirectories)
            .Where(f => f.Name.All(char.IsAsciiDigit)).OrderBy(f => f.FullName, StringComparer.Ordinal);

    private static string LargestTable(TestFolder folder) => Chain(folder).MaxBy(f => f.Length)!.FullName;

    private static string NextNumber(TestFolder folder)
    {
        var last = Chain(folder).Last();
        var next = long.Parse(last.Name, CultureInfo.InvariantCulture) + 1;
        return Path.Combine(last.DirectoryName!, next.ToString($"D{last.Name.Length}", CultureInfo.InvariantCulture));
    }

    private static void Flip(string file, long at)
    {
        using var stream = File.Open(file, FileMode.Open);
        stream.Position = at;
        var value = stream.ReadByte();
        stream.Position = at;
        stream.WriteByte((byte)(value ^ 0x40));
    }

    private static void AssertStamped(byte[] data, long offset)
    {
        for (var at = 0; at < data.Length; at += SectorStamp.Bytes)
        {
            Assert.Equal(1, SectorStamp.Read(data.AsSpan(at, SectorStamp.Bytes), 1, (offset + at) / SectorStamp.Bytes));
        }
    }

    // Everything is published and the local cache is gone, so that what is in the store is what is read.
    private async Task<ServerSettings> WrittenStoreAsync(TestFolder folder)
    {
        var settings = new ServerSettings(
            await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"))
        {
            Exports = [$"{Disk}:{Bytes}:published"],
        };
        await using var server = await ZeroFlowServer.StartAsync(settings);
        await using (var client = await NbdClient.ConnectAsync(server.Port, Disk))
        {
            var data = new byte[Written];
            SectorStamp.Fill(data, 1, 0, 1);
            await client.WriteAsync(0, data);
            await client.FlushAsync();
            await client.DisconnectAsync();
        }

        Assert.Equal(0, await server.StopAsync());
        Crash.Crashes.Wipe(settings);
        return settings;
    }

    private static async Task AssertIntactAsync(ServerSettings settings)
    {
        await using var server = await ZeroFlowServer.StartAsync(settings);
        await using var client = await NbdClient.ConnectAsync(server.Port, Disk);
        var data = new byte[Written];
        await client.ReadAsync(0, data);
        AssertStamped(data, 0);
        await client.DisconnectAsync();
        Assert.Equal(0, await server.StopAsync());
    }
}
