using System.Globalization;
using System.Text.Json;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Interop;

/// <summary>Foreign NBD clients at work on one export, each with what it must find.</summary>
internal static class Clients
{
    /// <summary>nbdinfo sees the size and every command that file systems and databases rely on.</summary>
    public static async Task InformAsync(string uri, long bytes)
    {
        using var info = JsonDocument.Parse(await Tool.RunAsync("nbdinfo", "--json", uri));
        var export = info.RootElement.GetProperty("exports")[0];
        Assert.Equal("newstyle-fixed", info.RootElement.GetProperty("protocol").GetString());
        Assert.Equal(bytes, export.GetProperty("export-size").GetInt64());
        Assert.False(export.GetProperty("is_read_only").GetBoolean());
        Assert.All(
            new[] { "can_flush", "can_fua", "can_multi_conn", "can_trim", "can_zero" },
            ability => Assert.True(export.GetProperty(ability).GetBoolean(), ability));
    }

    /// <summary>nbdinfo sees what few other servers have.</summary>
    public static async Task InformOfMoreAsync(string uri)
    {
        using var info = JsonDocument.Parse(await Tool.RunAsync("nbdinfo", "--json", uri));
        var export = info.RootElement.GetProperty("exports")[0];
        Assert.True(info.RootElement.GetProperty("structured").GetBoolean());
        Assert.All(
            new[] { "can_df", "can_cache", "can_fast_zero" },
            ability => Assert.True(export.GetProperty(ability).GetBoolean(), ability));
        Assert.Equal("base:allocation", export.GetProperty("contexts")[0].GetString());
    }

    /// <summary>nbdinfo and nbd-client list the export.</summary>
    public static async Task ListAsync(int port, string name)
    {
        using var list = JsonDocument.Parse(
            await Tool.RunAsync("nbdinfo", "--list", "--json", $"nbd://127.0.0.1:{port}"));
        var exports = list.RootElement.GetProperty("exports").EnumerateArray();
        Assert.Contains(name, exports.Select(e => e.GetProperty("export-name").GetString()));
        Assert.Contains(
            name, await Tool.RunAsync("nbd-client", "-l", "127.0.0.1", $"{port}"), StringComparison.Ordinal);
    }

    /// <summary>
    /// After writes and trims, nbdinfo and qemu-img see the same data and holes, and a copy leaves the holes out.
    /// </summary>
    public static async Task MapAsync(string uri, string scratch, long bytes)
    {
        const long Mebi = 1024 * 1024;
        await Tool.RunAsync(
            "qemu-io", "-f", "raw", "-t", "none", "-c", $"discard 0 {bytes}", "-c", "write -P 5 1M 2M", "-c",
            "write -P 6 8M 1M", "-c", "discard 2M 512k", "-c", "flush", uri);
        (long Offset, long Length, bool IsHole)[] expected =
        [
            (0, Mebi, true), (Mebi, Mebi, false), (2 * Mebi, Mebi / 2, true), (5 * Mebi / 2, Mebi / 2, false),
            (3 * Mebi, 5 * Mebi, true), (8 * Mebi, Mebi, false), (9 * Mebi, bytes - (9 * Mebi), true),
        ];
        using var info = JsonDocument.Parse(await Tool.RunAsync("nbdinfo", "--map", "--json", uri));
        Assert.Equal(expected, info.RootElement.EnumerateArray().Select(run => (
            run.GetProperty("offset").GetInt64(), run.GetProperty("length").GetInt64(),
            run.GetProperty("type").GetInt32() == 3)));
        using var map = JsonDocument.Parse(await Tool.RunAsync("qemu-img", "map", "--output=json", "-f", "raw", uri));
        Assert.Equal(expected, map.RootElement.EnumerateArray().Select(run => (
            run.GetProperty("start").GetInt64(), run.GetProperty("length").GetInt64(),
            !run.GetProperty("data").GetBoolean())));

        await Tool.RunAsync("nbdcopy", "--destination-is-zero", uri, scratch);
        var blocks = await Tool.RunAsync("stat", "--format=%b", scratch);
        Assert.InRange(long.Parse(blocks, CultureInfo.InvariantCulture) * 512, 1, 4 * Mebi);
        await Tool.RunAsync("qemu-img", "compare", "-f", "raw", "-F", "raw", scratch, uri);
        File.Delete(scratch);
    }

    public static Task CopyInAsync(string image, string uri, int connections) =>
        Tool.RunAsync("nbdcopy", "--flush", $"--connections={connections}", "--requests=64", image, uri);

    /// <summary>What nbdcopy reads out has the digest of <paramref name="image"/>.</summary>
    public static async Task CopyOutAsync(string uri, string image, string scratch, int connections)
    {
        await Tool.RunAsync("nbdcopy", $"--connections={connections}", "--requests=64", uri, scratch);
        Assert.Equal(await TestImage.DigestAsync(image), await TestImage.DigestAsync(scratch));
        File.Delete(scratch);
    }

    /// <summary>qemu-img writes an image out of order, 16 requests at a time, and finds it equal.</summary>
    public static async Task ConvertAsync(string image, string uri)
    {
        await Tool.RunAsync("qemu-img", "convert", "-n", "-W", "-m", "16", "-f", "raw", "-O", "raw", image, uri);
        await Tool.RunAsync("qemu-img", "compare", "-f", "raw", "-F", "raw", image, uri);
    }

    /// <summary>
    /// qemu-io: FUA, zeroes that may and may not unmap, discards, requests in parallel, ranges aligned to nothing.
    /// </summary>
    public static async Task PatternsAsync(string uri)
    {
        string[] commands =
        [
            "write -P 0xab 0 64k", "write -f -P 1 1M 1M", "write -P 0x77 16M 32M", "write -z 20M 1M",
            "write -zu 16M 4M",
            "discard 4M 1M", "aio_write -P 0x11 8M 512k", "aio_write -P 0x22 9M 512k", "aio_flush",
            "write -P 3 12345 777", "write -P 4 70001 1", "flush",
            "read -P 0xab 0 12345", "read -P 3 12345 777", "read -P 0xab 13122 4096", "read -P 4 70001 1",
            "read -P 0 70002 100", "read -P 1 1M 1M", "read -P 0x11 8M 512k", "read -P 0x22 9M 512k",
            "read -P 0 16M 5M", "read -P 0x77 21M 27M",
        ];
        var output = await Tool.RunAsync(
            "qemu-io", ["-f", "raw", "-t", "none", .. commands.SelectMany(c => new[] { "-c", c }), uri]);
        Assert.DoesNotContain("verification failed", output, StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>
    /// fio writes blocks of mixed sizes in random order while another job trims elsewhere, and verifies the checksum of
    /// every block: some soon after it was written, all at the end.
    /// </summary>
    public static async Task VerifyAsync(string uri, int jobs)
    {
        var size = 64 / jobs;
        using var scratch = new TestFolder();
        string[] common =
            ["--ioengine=nbd", $"--uri={uri}", "--bsrange=512-131072", "--blockalign=512", "--randseed=4711"];
        var (status, said, _) = await Tool.TryAsync(
            "fio", [
                $"--aux-path={scratch.Path}",
                "--name=verify", .. common, "--rw=randwrite", $"--numjobs={jobs}", $"--size={size}m",
                $"--offset_increment={size}m", "--iodepth=16", "--verify=crc32c", "--verify_fatal=1", "--do_verify=1",
                "--verify_backlog=512", "--end_fsync=1",
                "--name=trim", .. common, "--rw=randtrim", "--offset=128m", "--size=64m", "--iodepth=4",
            ]);
        Assert.True(status == 0, said);
        Assert.DoesNotContain("verify: bad", said, StringComparison.Ordinal);
    }
}
