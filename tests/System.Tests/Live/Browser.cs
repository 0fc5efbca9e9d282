using System.Collections.Concurrent;
using System.Net.WebSockets;
using System.Text.Json;
using System.Text.Json.Nodes;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Live;

/// <summary>
/// One tab of a headless Chromium, driven by the DevTools protocol. Keeps what the page asked for, and what it complained of.
/// </summary>
internal sealed class Browser : IAsyncDisposable
{
    private const string Program = "chromium";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    private readonly TestFolder _folder;
    private readonly ChildProcess _process;
    private readonly ClientWebSocket _socket = new();
    private readonly ConcurrentDictionary<int, TaskCompletionSource<JsonNode>> _calls = new();
    private readonly ConcurrentQueue<string> _requests = new();
    private readonly ConcurrentQueue<string> _complaints = new();
    private readonly SemaphoreSlim _sending = new(1);
    private readonly CancellationTokenSource _stop = new();
    private Task _receiving = Task.CompletedTask;
    private int _lastCall;

    private Browser(TestFolder folder, ChildProcess process) => (_folder, _process) = (folder, process);

    /// <summary>Every address that the page asked for.</summary>
    public IReadOnlyCollection<string> Requests => _requests;

    /// <summary>
    /// Errors and warnings of the console, and exceptions that nobody caught. That a server cannot be reached is the browser's
    /// own line, and none of them.
    /// </summary>
    public IReadOnlyCollection<string> Complaints => _complaints;

    /// <summary>Starts a browser with an empty tab.</summary>
    public static async Task<Browser> StartAsync()
    {
        Require.Tool(Program);
        var folder = new TestFolder();
        var process = ChildProcess.Start(
            Program,
            [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
                "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
                $"--user-data-dir={folder.Path}", "about:blank",
            ]);
        var browser = new Browser(folder, process);
        await browser.ConnectAsync();
        return browser;
    }

    /// <summary>Opens a page, and waits until it is loaded.</summary>
    public async Task OpenAsync(string address)
    {
        await CallAsync("Page.navigate", new JsonObject { ["url"] = address });
        await UntilAsync("document.readyState === 'complete' && location.href.startsWith('http')");
    }

    /// <summary>Sets size and preferences.</summary>
    public async Task LookLikeAsync(int width, int height, string scheme = "light", bool isCalm = false, double scale = 1)
    {
        await CallAsync("Emulation.setDeviceMetricsOverride", new JsonObject
        {
            ["width"] = width,
            ["height"] = height,
            ["deviceScaleFactor"] = scale,
            ["mobile"] = width < 600,
        });
        await CallAsync("Emulation.setEmulatedMedia", new JsonObject
        {
            ["features"] = new JsonArray(
                new JsonObject { ["name"] = "prefers-color-scheme", ["value"] = scheme },
                new JsonObject { ["name"] = "prefers-reduced-motion", ["value"] = isCalm ? "reduce" : "no-preference" }),
        });
    }

    /// <summary>What an expression gives.</summary>
    public async Task<JsonNode?> AskAsync(string expression)
    {
        JsonNode answer = await CallAsync("Runtime.evaluate", new JsonObject
        {
            ["expression"] = expression,
            ["returnByValue"] = true,
            ["awaitPromise"] = true,
        });
        if (answer["exceptionDetails"] is { } fault) Assert.Fail($"{expression}: {fault.ToJsonString()}");
        return answer["result"]!["value"];
    }

    /// <summary>The text of an element.</summary>
    public async Task<string> TextAsync(string selector) =>
        (string)(await AskAsync($"document.querySelector({JsonSerializer.Serialize(selector)}).textContent"))!;

    /// <summary>Waits until an expression is true.</summary>
    public async Task UntilAsync(string expression)
    {
        using var timeout = new CancellationTokenSource(Patience);
        while (true)
        {
            if ((bool?)await AskAsync($"Boolean({expression})") == true) return;
            if (timeout.IsCancellationRequested)
                Assert.Fail($"After {Patience} this is not so: {expression}\n{await AskAsync("document.body.innerText")}");
            await Task.Delay(100, CancellationToken.None);
        }
    }

    /// <summary>Presses a key; the text is what it writes, if it writes something.</summary>
    public async Task PressAsync(string key, int code, string text = "")
    {
        foreach (string type in (string[])[text.Length > 0 ? "keyDown" : "rawKeyDown", "keyUp"])
        {
            await CallAsync("Input.dispatchKeyEvent", new JsonObject
            {
                ["type"] = type,
                ["key"] = key,
                ["code"] = key,
                ["text"] = type == "keyDown" ? text : "",
                ["windowsVirtualKeyCode"] = code,
                ["nativeVirtualKeyCode"] = code,
            });
        }
    }

    /// <summary>Puts a text where the focus is.</summary>
    public Task TypeAsync(string text) => CallAsync("Input.insertText", new JsonObject { ["text"] = text });

    /// <summary>A picture of the page: of what is seen, or of all of it.</summary>
    public async Task PictureAsync(string file, bool isWhole)
    {
        JsonNode picture = await CallAsync("Page.captureScreenshot", new JsonObject { ["format"] = "png", ["captureBeyondViewport"] = isWhole });
        await File.WriteAllBytesAsync(file, Convert.FromBase64String((string)picture["data"]!));
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _socket.Abort();
        await _receiving;
        await _process.DisposeAsync();
        _socket.Dispose();
        _stop.Dispose();
        _sending.Dispose();
        await FolderGoneAsync();
    }

    // Its helpers may still write for a moment after they were killed.
    private async Task FolderGoneAsync()
    {
        for (int i = 0; ; i++)
        {
            try
            {
                _folder.Dispose();
                return;
            }
            catch (IOException) when (i < 50)
            {
                await Task.Delay(100);
            }
        }
    }

    private async Task ConnectAsync()
    {
        using var timeout = new CancellationTokenSource(Patience);
        string file = _folder["DevToolsActivePort"];
        while (!File.Exists(file) || (await File.ReadAllLinesAsync(file, timeout.Token)).Length < 2)
        {
            if (_process.HasExited) Assert.Fail($"{Program} has ended:\n{_process.Said}");
            await Task.Delay(50, timeout.Token);
        }

        string port = (await File.ReadAllLinesAsync(file, timeout.Token))[0];
        using var http = new HttpClient();
        JsonNode tabs = JsonNode.Parse(await http.GetStringAsync(new Uri($"http://127.0.0.1:{port}/json/list"), timeout.Token))!;
        string tab = (string)tabs.AsArray().First(static one => (string?)one!["type"] == "page")!["webSocketDebuggerUrl"]!;
        await _socket.ConnectAsync(new Uri(tab), timeout.Token);
        _receiving = ReceiveAsync();
        foreach (string domain in (string[])["Page", "Runtime", "Log", "Network"]) await CallAsync($"{domain}.enable", []);
    }

    private async Task<JsonNode> CallAsync(string method, JsonObject parameters)
    {
        int call = Interlocked.Increment(ref _lastCall);
        var answer = _calls[call] = new TaskCompletionSource<JsonNode>(TaskCreationOptions.RunContinuationsAsynchronously);
        byte[] message = JsonSerializer.SerializeToUtf8Bytes(new JsonObject { ["id"] = call, ["method"] = method, ["params"] = parameters });
        await _sending.WaitAsync(_stop.Token);
        try
        {
            await _socket.SendAsync(message, WebSocketMessageType.Text, endOfMessage: true, _stop.Token);
        }
        finally
        {
            _sending.Release();
        }

        JsonNode reply = await answer.Task.WaitAsync(Patience);
        if (reply["error"] is { } error) Assert.Fail($"{method}: {error.ToJsonString()}");
        return reply["result"]!;
    }

    private async Task ReceiveAsync()
    {
        byte[] buffer = new byte[64 * 1024];
        using var message = new MemoryStream();
        try
        {
            while (true)
            {
                WebSocketReceiveResult got = await _socket.ReceiveAsync(buffer, _stop.Token);
                if (got.MessageType == WebSocketMessageType.Close) break;
                message.Write(buffer, 0, got.Count);
                if (!got.EndOfMessage) continue;
                Take(JsonNode.Parse(message.ToArray())!);
                message.SetLength(0);
            }
        }
        catch (Exception fault) when (fault is OperationCanceledException or WebSocketException or ObjectDisposedException)
        {
            // The browser is going away.
        }

        foreach (TaskCompletionSource<JsonNode> call in _calls.Values) call.TrySetException(new IOException($"{Program} is gone."));
    }

    private void Take(JsonNode message)
    {
        if (message["id"] is { } id)
        {
            if (_calls.TryRemove((int)id, out TaskCompletionSource<JsonNode>? call)) call.TrySetResult(message);
            return;
        }

        JsonNode parameters = message["params"]!;
        switch ((string?)message["method"])
        {
            case "Network.requestWillBeSent":
                _requests.Enqueue((string)parameters["request"]!["url"]!);
                break;
            case "Runtime.exceptionThrown":
                _complaints.Enqueue(parameters["exceptionDetails"]!.ToJsonString());
                break;
            case "Runtime.consoleAPICalled" when (string?)parameters["type"] is "error" or "warning" or "assert":
                _complaints.Enqueue(parameters["args"]!.ToJsonString());
                break;
            case "Log.entryAdded" when (string?)parameters["entry"]!["source"] != "network":
                _complaints.Enqueue(parameters["entry"]!.ToJsonString());
                break;
        }
    }
}
