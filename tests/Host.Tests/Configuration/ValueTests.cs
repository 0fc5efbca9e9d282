using ZeroFlow.Host.Configuration;
using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Host.Tests.Configuration;

public sealed class ValueTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("1", 1)]
    [InlineData("4K", 4096)]
    [InlineData("4k", 4096)]
    [InlineData("3M", 3L << 20)]
    [InlineData("10G", 10L << 30)]
    [InlineData("2T", 2L << 40)]
    [InlineData("9223372036854775807", long.MaxValue)]
    public void Sizes_are_bytes_or_powers_of_1024(string text, long bytes)
    {
        Assert.True(Quantities.TryParseSize(text, out long parsed));
        Assert.Equal(bytes, parsed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("K")]
    [InlineData("-1")]
    [InlineData("+1")]
    [InlineData("1.5G")]
    [InlineData("1 G")]
    [InlineData("1GB")]
    [InlineData("1GiB")]
    [InlineData("1P")]
    [InlineData("0x10")]
    [InlineData("1,000")]
    [InlineData("9223372036854775808")]
    [InlineData("8388608T")]
    public void Anything_else_is_no_size(string text) => Assert.False(Quantities.TryParseSize(text, out _));

    [Theory]
    [InlineData("250ms", 250)]
    [InlineData("30s", 30_000)]
    [InlineData("10m", 600_000)]
    [InlineData("2h", 7_200_000)]
    [InlineData("1d", 86_400_000)]
    [InlineData("0s", 0)]
    public void Durations_carry_their_unit_and_are_written_as_they_are_read(string text, long milliseconds)
    {
        Assert.True(Quantities.TryParseDuration(text, out TimeSpan parsed));
        Assert.Equal(milliseconds, parsed.TotalMilliseconds);
        Assert.True(Quantities.TryParseDuration(Quantities.FormatDuration(parsed), out TimeSpan again));
        Assert.Equal(parsed, again);
    }

    [Theory]
    [InlineData("")]
    [InlineData("30")]
    [InlineData("s")]
    [InlineData("-1s")]
    [InlineData("1.5s")]
    [InlineData("1w")]
    [InlineData("00:00:30")]
    [InlineData("99999999999999d")]
    public void Anything_else_is_no_duration(string text) => Assert.False(Quantities.TryParseDuration(text, out _));

    [Theory]
    [InlineData(0, "0 bytes")]
    [InlineData(512, "512 bytes")]
    [InlineData(1536, "1.5 KiB")]
    [InlineData(10L << 30, "10 GiB")]
    [InlineData(5000L << 40, "5000 TiB")]
    public void Sizes_are_shown_in_the_largest_fitting_unit(long bytes, string text) =>
        Assert.Equal(text, Quantities.FormatSize(bytes));

    [Theory]
    [InlineData("disk0:10G", "disk0", 10L << 30, null)]
    [InlineData("disk0:10G:journaled", "disk0", 10L << 30, DurabilityLevel.Journaled)]
    [InlineData("db/main-1:4096:published", "db/main-1", 4096, DurabilityLevel.Published)]
    [InlineData("Größe:16T", "Größe", 16L << 40, null)]
    public void Exports_are_name_size_and_level(string text, string name, long size, DurabilityLevel? level)
    {
        Assert.True(ExportSpec.TryParse(text, out ExportSpec? export));
        Assert.Equal(new ExportSpec(name, size, level), export);
    }

    [Fact]
    public void An_export_may_be_without_a_write_cache()
    {
        Assert.True(ExportSpec.TryParse("disk0:10G:published:write-through", out ExportSpec? export));
        Assert.Equal(new ExportSpec("disk0", 10L << 30, DurabilityLevel.Published, WriteThrough: true), export);
    }

    [Theory]
    [InlineData("")]
    [InlineData("disk0:1G:write-through")]
    [InlineData("disk0:1G:published:x")]
    [InlineData("disk0:1G:published:write-through:")]
    [InlineData("disk0")]
    [InlineData(":10G")]
    [InlineData("disk0:")]
    [InlineData("disk0:0")]
    [InlineData("disk0:17T")]
    [InlineData("disk0:1000")]
    [InlineData("disk0:10G:")]
    [InlineData("disk0:10G:Published")]
    [InlineData("disk0:10G:fast")]
    [InlineData("disk0:10G:journaled:x")]
    [InlineData("a,b:1G")]
    [InlineData("a@b:1G")]
    [InlineData("tab\there:1G")]
    public void Anything_else_is_no_export(string text) => Assert.False(ExportSpec.TryParse(text, out _));

    [Fact]
    public void An_export_name_may_have_255_bytes_and_not_one_more()
    {
        Assert.True(ExportSpec.TryParse(new string('x', 255) + ":1G", out _));
        Assert.False(ExportSpec.TryParse(new string('x', 256) + ":1G", out _));
        Assert.False(ExportSpec.TryParse(new string('ß', 128) + ":1G", out _));
    }

    [Theory]
    [InlineData("127.0.0.1:10809", "127.0.0.1:10809")]
    [InlineData("0.0.0.0:0", "0.0.0.0:0")]
    [InlineData("localhost:1", "127.0.0.1:1")]
    [InlineData("[::1]:65535", "[::1]:65535")]
    public void Addresses_are_host_and_port(string text, string endpoint)
    {
        Assert.True(ListenAddress.TryParse(text, out System.Net.IPEndPoint? parsed));
        Assert.Equal(endpoint, parsed.ToString());
    }

    [Theory]
    [InlineData("")]
    [InlineData("10809")]
    [InlineData(":10809")]
    [InlineData("127.0.0.1")]
    [InlineData("127.0.0.1:")]
    [InlineData("127.0.0.1:65536")]
    [InlineData("127.0.0.1:-1")]
    [InlineData("127.0.0.1: 1")]
    [InlineData("127.1:1")]
    [InlineData("::1:1")]
    [InlineData("[127.0.0.1]:1")]
    [InlineData("example.org:1")]
    public void Anything_else_is_no_address(string text) => Assert.False(ListenAddress.TryParse(text, out _));

    [Theory]
    [InlineData("file:///srv/store")]
    [InlineData("s3://bucket")]
    [InlineData("s3://bucket/a/b?endpoint=http://127.0.0.1:8100&region=us-east-1&path-style=true")]
    public void Stores_are_directories_or_buckets(string url) => Assert.True(StoreUrl.TryCheck(url, out _));

    [Theory]
    [InlineData("")]
    [InlineData("/srv/store")]
    [InlineData("file://srv/store")]
    [InlineData("file:///")]
    [InlineData("s3:///prefix")]
    [InlineData("http://bucket")]
    [InlineData("s3://KEY:hunter2@bucket")]
    public void Anything_else_is_no_store_and_the_url_is_not_repeated(string url)
    {
        Assert.False(StoreUrl.TryCheck(url, out string? problem));
        Assert.DoesNotContain("hunter2", problem, StringComparison.Ordinal);
    }
}
