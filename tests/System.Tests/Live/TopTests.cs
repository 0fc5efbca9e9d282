using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Live;

// zeroflow top on a terminal of its own, which script(1) makes and writes down.
public sealed class TopTests(ZeroFlowBinary binary)
{
    private const string Taken = "\e[?1049h";
    private const string GivenBack = "\e[?7h\e[?25h\e[?1049l";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    [Fact]
    public async Task It_shows_the_server_and_goes_on_when_it_is_back()
    {
        using var folder = new TestFolder();
        ServerSettings settings = await SettingsAsync(folder);
        await using ChildProcess top = Start(folder, settings, "q");
        await using (var server = await ZeroFlowServer.StartAsync(settings))
        {
            await SeesAsync(folder, "Healthy");
            await SeesAsync(folder, "commit");
            await server.KillAsync();
        }

        await SeesAsync(folder, "No answer from the server");
        int before = (await ReadAsync(folder)).Length;
        await using var again = await ZeroFlowServer.StartAsync(settings);
        await SeesAsync(folder, "Healthy", before);
        await EndsAsync(folder, top);
    }

    [Fact]
    public async Task An_interrupt_gives_the_terminal_back_too()
    {
        using var folder = new TestFolder();
        await using ChildProcess top = Start(folder, await SettingsAsync(folder), @"\003");
        await SeesAsync(folder, "No answer");
        await EndsAsync(folder, top);
    }

    // The terminal is as it was: the usual screen, with a cursor, and lines that are edited and echoed.
    private static async Task EndsAsync(TestFolder folder, ChildProcess top)
    {
        await File.WriteAllTextAsync(folder["now"], "", TestContext.Current.CancellationToken);
        int code = await top.ExitAsync(Patience);
        string written = await ReadAsync(folder);
        Assert.True(code == 0, $"The shell ended with {code}:\n{written}");
        Assert.Contains(Taken, written, StringComparison.Ordinal);
        string behind = written[(written.LastIndexOf(GivenBack, StringComparison.Ordinal) + GivenBack.Length)..];
        Assert.DoesNotContain(Taken, behind, StringComparison.Ordinal);
        Assert.Contains("ended with 0", behind, StringComparison.Ordinal);
        Assert.Matches(@"(?<!-)\bicanon\b", behind);
        Assert.Matches(@"(?<!-)\becho\b", behind);
        Assert.DoesNotContain("\e[32m", written, StringComparison.Ordinal);
    }

    private async Task<ServerSettings> SettingsAsync(TestFolder folder)
    {
        Require.Tool("script", "stty");
        return new ServerSettings(await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"));
    }

    // The key is typed once the file "now" is there. An interrupt goes to the shell as well, which is to go on: it tells
    // how the view ended, by whatever signal.
    private static ChildProcess Start(TestFolder folder, ServerSettings settings, string key)
    {
        string command = $"trap : INT; stty cols 80 rows 24; {settings.Binary} top --admin 127.0.0.1:{settings.AdminPort} --data {settings.Data}; echo ended with $?; stty -a";
        string typing = $"while [ ! -e {folder["now"]} ]; do sleep 0.1; done; printf '{key}'; sleep 1";
        return ChildProcess.Start(
            "bash", ["-c", $"({typing}) | script -qefc '{command}' {folder["typescript"]} > /dev/null"],
            new Dictionary<string, string> { ["TERM"] = "xterm", ["NO_COLOR"] = "1", ["LANG"] = "C.UTF-8" });
    }

    private static async Task SeesAsync(TestFolder folder, string text, int from = 0)
    {
        using var timeout = new CancellationTokenSource(Patience);
        string written;
        do
        {
            await Task.Delay(100, CancellationToken.None);
            written = await ReadAsync(folder);
            if (timeout.IsCancellationRequested) Assert.Fail($"There is no \"{text}\" on the screen:\n{written}");
        }
        while (!written[Math.Min(from, written.Length)..].Contains(text, StringComparison.Ordinal));
    }

    private static async Task<string> ReadAsync(TestFolder folder)
    {
        if (!File.Exists(folder["typescript"])) return "";
        await using var file = new FileStream(folder["typescript"], FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using var reader = new StreamReader(file);
        return (await reader.ReadToEndAsync()).Replace("\r", "", StringComparison.Ordinal);
    }
}
