using System.Text.Json;
using ZeroFlow.Host.Commands.Top;
using ZeroFlow.Host.Live;
using ZeroFlow.Host.Tests.Control;
using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Host.Tests.Live;

// zeroflow top: what it prints, and that it fits.
public sealed class TopTests(ControlServer server) : IClassFixture<ControlServer>
{
    [Theory]
    [InlineData(80, 24)]
    [InlineData(40, 10)]
    [InlineData(20, 3)]
    [InlineData(132, 50)]
    [InlineData(200, 60)]
    public async Task A_frame_fits_the_screen(int width, int height)
    {
        LiveFrame frame = await FrameAsync();
        frame = frame with
        {
            Exports = [.. Enumerable.Range(0, 40).Select(i => Export($"export \u6570\u636e\u5e93 \e[31m number {i}"))],
            Events = [new LiveEvent(frame.Server.At, LiveLevel.Warning, new string('x', 300))],
        };
        var size = new TopSize(width, height, HasBlocks: true);
        IReadOnlyList<TopLine> lines = TopView.Render(frame, null, size);
        Assert.True(lines.Count < height);
        Assert.All(lines, line => Assert.True(TopLine.WidthOf(line.ToText(hasColour: false)) <= width, line.ToText(hasColour: false)));
        Assert.DoesNotContain(lines, static line => line.ToText(hasColour: true).Contains("\e[31m number", StringComparison.Ordinal));
        if (height >= 24) Assert.Contains(lines, static line => line.ToText(hasColour: false).StartsWith("commit ", StringComparison.Ordinal));
        if (height >= 24) Assert.Contains(lines, static line => line.ToText(hasColour: false).StartsWith("export ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Without_colour_no_line_has_an_escape()
    {
        LiveFrame frame = await FrameAsync();
        IReadOnlyList<TopLine> lines = TopView.Render(frame, null, new TopSize(80, 24, HasBlocks: true));
        Assert.All(lines, static line => Assert.DoesNotContain('\e', line.ToText(hasColour: false)));
        Assert.Contains(lines, static line => line.ToText(hasColour: true).Contains("\e[32mHealthy", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_server_that_is_away_is_told_above_its_last_numbers_and_one_that_ended_fenced_stays_fenced()
    {
        LiveFrame frame = await FrameAsync();
        string[] away = [.. TopView.Render(frame, "It cannot be reached: refused.", new TopSize(80, 24, false)).Select(static line => line.ToText(false))];
        Assert.StartsWith("No answer from the server", away[0], StringComparison.Ordinal);
        Assert.StartsWith("It cannot be reached: refused. Last seen at ", away[1], StringComparison.Ordinal);
        Assert.Contains(away, static line => line.StartsWith("journal", StringComparison.Ordinal));
        LiveFrame fenced = frame with { State = new LiveState(LiveLevel.Critical, "fenced", "Fenced: another server took the store over", "", null, null, null) };
        Assert.StartsWith("Fenced", TopView.Render(fenced, "It cannot be reached.", new TopSize(80, 24, false))[0].ToText(false), StringComparison.Ordinal);
        Assert.Equal("No answer", TopView.Render(null, "It cannot be reached.", new TopSize(80, 24, false))[0].ToText(false));
    }

    [Fact]
    public async Task It_prints_once_for_scripts_as_text_or_as_json()
    {
        await server.DoAsync("export", "create", "vm-1", "1M");
        string text = await server.DoAsync("top", "--once");
        Assert.StartsWith("Healthy", text, StringComparison.Ordinal);
        Assert.DoesNotContain('\e', text);
        Assert.Contains("\nvm-1 ", text, StringComparison.Ordinal);
        string json = await server.DoAsync("top", "--json");
        Assert.Equal("vm-1", JsonSerializer.Deserialize(json, LiveJson.Default.LiveFrame)!.Exports[0].Name);
    }

    [Theory]
    [InlineData(0, "0")]
    [InlineData(0.25, "0.2")]
    [InlineData(12.4, "12")]
    [InlineData(123456, "123k")]
    [InlineData(1.5e9, "1.5G")]
    public void Counts_are_short(double value, string text) => Assert.Equal(text, TopNumbers.Count(value));

    [Theory]
    [InlineData(1023, "1 KiB")]
    [InlineData(1L << 30, "1 GiB")]
    [InlineData(123L << 20, "123 MiB")]
    public void Sizes_are_short(double value, string text) => Assert.Equal(text, TopNumbers.Bytes(value));

    private static LiveExport Export(string name)
    {
        var none = new LiveRequests(0, 0, new LiveLatency(null, null));
        return new LiveExport(name, 1 << 30, DurabilityLevel.Published, false, false, 1, 2.5, none, none, none, 0);
    }

    private async Task<LiveFrame> FrameAsync()
    {
        using HttpClient client = server.NewClient(null);
        string json = await client.GetStringAsync("/v1/live", TestContext.Current.CancellationToken);
        return JsonSerializer.Deserialize(json, LiveJson.Default.LiveFrame)!;
    }
}
