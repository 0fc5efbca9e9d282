using System.Text.Json.Nodes;
using ZeroFlow.SystemTests.Faults;
using ZeroFlow.SystemTests.Oracle;
using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Live;

// The live page in a real browser, before a real server that works, loses its bucket, gets it back, is fenced and comes back.
// scripts/screenshots.sh has it keep pictures on the way: ZEROFLOW_SCREENSHOTS names the folder.
public sealed class LivePageTests(ZeroFlowBinary binary, RadosGateway gateway)
{
    private const int Bytes = 64 * 1024 * 1024;
    private const int TabKey = 9;
    private const int EnterKey = 13;

    // Contrast of text with what is behind it, as WCAG 2.2 has it; the smallest of the page.
    private const string LeastContrast = """
        (() => {
          const rgb = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
          const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
          const solid = (text) => { const c = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
            c.fillStyle = text; c.fillRect(0, 0, 1, 1); return [...c.getImageData(0, 0, 1, 1).data]; };
          let least = [99, ""];
          for (const one of document.querySelectorAll("h1, h2, h3, p, th, td, dt, dd, li, summary, button, small, .tag")) {
            if (!one.textContent.trim() || !one.checkVisibility()) continue;
            let behind = one, ground = [0, 0, 0, 0];
            while (behind && ground[3] < 250) { ground = solid(getComputedStyle(behind).backgroundColor); behind = behind.parentElement; }
            const [a, b] = [light(solid(getComputedStyle(one).color)), light(ground)].sort((x, y) => y - x);
            const ratio = (a + 0.05) / (b + 0.05);
            if (ratio < least[0]) least = [ratio, `${one.tagName} ${one.textContent.slice(0, 40)}`];
          }
          return least;
        })()
        """;

    private readonly ImageHistory _disk = new("pg-disk", 1, Bytes, new Sequencer());
    private readonly ImageHistory _backup = new("backup-disk", 2, Bytes, new Sequencer());

    private static string? Pictures => Environment.GetEnvironmentVariable("ZEROFLOW_SCREENSHOTS");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_page_follows_a_server_through_work_outage_and_fencing()
    {
        Require.Tool("chromium");
        using var folder = new TestFolder();
        await using var proxy = new S3Proxy(await gateway.PortAsync());
        ServerSettings settings = await SettingsAsync(folder, proxy);
        await using var browser = await Browser.StartAsync();
        await using (var server = await ZeroFlowServer.StartAsync(settings))
        {
            await browser.LookLikeAsync(1440, 1000);
            await browser.OpenAsync(Page(settings));
            await HeadlineAsync(browser, "Healthy");
            await PicturesAsync(browser, "idle");
            using (var stop = new CancellationTokenSource())
            {
                Task load = LoadAsync(server, stop.Token);
                await SeeWorkAsync(browser);
                await SeeLooksAsync(browser);
                await SeeKeyboardAsync(browser);
                await PicturesAsync(browser, "load", seconds: 45);
                await SeeOutageAsync(browser, proxy);
                await stop.CancelAsync();
                await load;
            }

            await SeeFencingAsync(browser, server, settings, folder);
        }

        await using var again = await ZeroFlowServer.StartAsync(settings);
        await HeadlineAsync(browser, "Healthy");
        Assert.Equal(0, await again.StopAsync());
        await HeadlineAsync(browser, "The server has stopped");
        Assert.Empty(browser.Complaints);
        Assert.All(browser.Requests, request => Assert.StartsWith(Page(settings), request, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Where_a_token_is_needed_the_page_asks_for_it_and_goes_on()
    {
        Require.Tool("chromium");
        using var folder = new TestFolder();
        ServerSettings settings = new(await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"))
        {
            Options = ["--set", "Admin:LiveToken=true"],
        };
        await using var server = await ZeroFlowServer.StartAsync(settings);
        await using var browser = await Browser.StartAsync();
        await browser.OpenAsync(Page(settings));
        await HeadlineAsync(browser, "A token is needed");
        await browser.UntilAsync("document.activeElement.id === 'token-text'");
        await browser.TypeAsync("a guess");
        await browser.PressAsync("Enter", EnterKey, "\r");
        await browser.UntilAsync("document.getElementById('detail').textContent.startsWith('That is not the token')");
        await browser.TypeAsync(await File.ReadAllTextAsync(Path.Combine(settings.Data, "admin.token"), Cancellation));
        await browser.PressAsync("Enter", EnterKey, "\r");
        await HeadlineAsync(browser, "Healthy");
        Assert.True((bool)(await browser.AskAsync("document.getElementById('token').hidden"))!);
        Assert.Empty(browser.Complaints);
    }

    private static async Task SeeWorkAsync(Browser browser)
    {
        await browser.UntilAsync("/[1-9]/.test(document.querySelector('#tile-writes .value').textContent)");
        await browser.UntilAsync("document.querySelectorAll('#picture .moving').length >= 6");
        await browser.UntilAsync("document.getAnimations().filter((one) => one.effect.target?.classList.contains('flow') && one.playState === 'running').length >= 6");
        string before = await browser.TextAsync("#picture");
        await browser.UntilAsync($"document.querySelector('#picture').textContent !== {System.Text.Json.JsonSerializer.Serialize(before)}");
        Assert.Contains("disk", await browser.TextAsync("#exports tbody"), StringComparison.Ordinal);
        Assert.Contains("from 127.0.0.1", await browser.TextAsync("#clients"), StringComparison.Ordinal);
        Assert.Contains("PUT", await browser.TextAsync("#requests tbody"), StringComparison.Ordinal);
        Assert.Contains("0.005 for 1000 PUT", await browser.TextAsync("#prices"), StringComparison.Ordinal);
        Assert.Contains("Ready:", await browser.TextAsync("#events"), StringComparison.Ordinal);
        Assert.Equal(11, (int)(await browser.AskAsync("document.querySelectorAll('#stages tbody tr').length"))!);
    }

    private static async Task SeeLooksAsync(Browser browser)
    {
        var grounds = new HashSet<string>();
        foreach (string scheme in (string[])["light", "dark"])
        {
            foreach (int width in (int[])[360, 768, 1180, 1440])
            {
                await browser.LookLikeAsync(width, 900, scheme);
                Assert.True((bool)(await browser.AskAsync("document.documentElement.scrollWidth <= innerWidth"))!, $"The page is wider than {width}.");
            }

            grounds.Add((string)(await browser.AskAsync("getComputedStyle(document.body).backgroundColor"))!);
            await browser.AskAsync("document.querySelector('details').open = true");
            JsonArray least = (await browser.AskAsync(LeastContrast))!.AsArray();
            Assert.True((double)least[0]! >= 4.5, $"{scheme}: {least.ToJsonString()}");
            await browser.AskAsync("document.querySelector('details').open = false");
        }

        Assert.Equal(2, grounds.Count);
        await browser.LookLikeAsync(1440, 1000, isCalm: true);
        await browser.UntilAsync("document.getAnimations().every((one) => one.playState !== 'running')");
        await browser.LookLikeAsync(1440, 1000);
    }

    // From the top: the skip link, the pause button, then the boxes of the picture in the order of the pipeline.
    private static async Task SeeKeyboardAsync(Browser browser)
    {
        const string Focus = "(document.activeElement.id || document.activeElement.innerText || document.activeElement.className).trim().replace(/\\s+/g, ' ')";
        await browser.AskAsync("document.activeElement.blur(); scrollTo(0, 0)");
        var seen = new List<string>();
        for (int i = 0; i < 18; i++)
        {
            await browser.PressAsync("Tab", TabKey);
            seen.Add((string)(await browser.AskAsync(Focus))!);
            Assert.NotEqual("none", (string?)await browser.AskAsync("getComputedStyle(document.activeElement).outlineStyle"));
        }

        Assert.Equal(
            [
                "Skip to the state", "pause", "clients", "1 admit", "2 sequence", "3 journal", "WAL", "cut", "4 chunk", "5 compress", "6 seal",
                "7 table", "8 upload", "9 commit", "bucket", "10 settle", "disk cache", "memory cache",
            ],
            seen);
        await browser.PressAsync("Enter", EnterKey, "\r");
        Assert.Contains("memory", await browser.TextAsync("#about"), StringComparison.Ordinal);
        await browser.PressAsync("Enter", EnterKey, "\r");
        Assert.True((bool)(await browser.AskAsync("document.getElementById('about').hidden"))!);
        Assert.Equal("polite", (string?)await browser.AskAsync("document.getElementById('headline').getAttribute('aria-live')"));
        await browser.AskAsync("document.getElementById('pause').click()");
        await browser.UntilAsync("document.getAnimations().every((one) => !one.effect.target?.classList.contains('flow') || one.playState !== 'running')");
        await browser.AskAsync("document.getElementById('pause').click()");
        await browser.AskAsync("document.activeElement.blur(); scrollTo(0, 0)");
    }

    private static async Task SeeOutageAsync(Browser browser, S3Proxy proxy)
    {
        proxy.Choose = static _ => S3Fault.Refused;
        await HeadlineAsync(browser, "The bucket is away");
        await browser.UntilAsync("document.querySelector('.n-bucket.away') && document.getElementById('state').dataset.level === 'warning'");
        await browser.UntilAsync("document.getElementById('countdown').textContent.includes('until writes wait')");
        await browser.UntilAsync("document.getElementById('icon').href.endsWith('icon-warning.svg')");
        await PicturesAsync(browser, "outage", seconds: 25);
        proxy.Choose = static _ => S3Fault.None;
        await HeadlineAsync(browser, "Healthy");
    }

    private async Task SeeFencingAsync(Browser browser, ZeroFlowServer server, ServerSettings settings, TestFolder folder)
    {
        ServerSettings elsewhere = settings with { Data = folder.Make("elsewhere"), Port = FreePorts.Take(), AdminPort = FreePorts.Take() };
        await using var other = await ZeroFlowServer.StartAsync(elsewhere);
        using (var stop = new CancellationTokenSource())
        {
            // Whoever writes makes the first server look.
            Task load = LoadAsync(server, stop.Token, isDoomed: true);
            await HeadlineAsync(browser, "Fenced: another server took the store over");
            await stop.CancelAsync();
            await load;
        }

        Assert.Equal(3, await server.ExitAsync());
        await browser.UntilAsync("document.body.dataset.stale === 'true'");
        await HeadlineAsync(browser, "Fenced: another server took the store over");
        Assert.Contains("The server has ended.", await browser.TextAsync("#detail"), StringComparison.Ordinal);
        await PicturesAsync(browser, "fenced");
        Assert.Equal(0, await other.StopAsync());
    }

    private static Task HeadlineAsync(Browser browser, string text) =>
        browser.UntilAsync($"document.getElementById('headline').textContent === {System.Text.Json.JsonSerializer.Serialize(text)}");

    private static async Task PicturesAsync(Browser browser, string name, int seconds = 3)
    {
        if (Pictures is not { Length: > 0 } folder) return;
        await Task.Delay(TimeSpan.FromSeconds(seconds), Cancellation);
        foreach (string scheme in (string[])["light", "dark"])
        {
            await browser.LookLikeAsync(1440, 1000, scheme);
            await Task.Delay(1500, Cancellation);
            await browser.PictureAsync(Path.Combine(folder, $"{name}-{scheme}.png"), isWhole: true);
        }

        await browser.LookLikeAsync(360, 760, "light", scale: 2);
        await Task.Delay(1500, Cancellation);
        await browser.PictureAsync(Path.Combine(folder, $"{name}-phone.png"), isWhole: false);
        await browser.PictureAsync(Path.Combine(folder, $"{name}-phone-whole.png"), isWhole: true);
        await browser.LookLikeAsync(1440, 1000);
        await Task.Delay(500, Cancellation);
    }

    private Task LoadAsync(ZeroFlowServer server, CancellationToken stop, bool isDoomed = false)
    {
        var disk = new Load(_disk, 3) { Connections = 2, Depth = 2, Pace = TimeSpan.FromMilliseconds(8), ReadPercent = 50 };
        var backup = new Load(_backup, 4) { Connections = 1, Depth = 1, Pace = TimeSpan.FromMilliseconds(40) };
        return Task.WhenAll(RunAsync(disk), RunAsync(backup));

        async Task RunAsync(Load load)
        {
            try
            {
                await load.RunAsync(server.Port, stop);
            }
            catch (NbdException) when (isDoomed)
            {
                // A fenced server refuses whatever it has not answered yet, as it should.
            }
        }
    }

    private static string Page(ServerSettings settings) => $"http://127.0.0.1:{settings.AdminPort}/";

    private async Task<ServerSettings> SettingsAsync(TestFolder folder, S3Proxy proxy) =>
        new(await binary.PathAsync(), StorePlace.InBucket(proxy.Port, folder.Name), folder.Make("data"))
        {
            Exports = [$"pg-disk:{Bytes}:journaled", $"backup-disk:{Bytes}:published"],
            Tuning = new Dictionary<string, string>
            {
                ["PublishInterval"] = "300ms",
                ["MemoryCacheBytes"] = "24M",
                ["CheckpointTables"] = "8",
                ["WalBytes"] = "1G",
            },
        };
}
