using System.Net.ServerSentEvents;
using System.Text.Json;
using ZeroFlow.Host.Live;

namespace ZeroFlow.Host.Tests.Live;

// Follows the frames of a server, as a viewer does.
internal sealed class FrameReader(HttpClient client) : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);
    private HttpResponseMessage? _response;
    private IAsyncEnumerator<SseItem<string>>? _items;

    public async Task<LiveFrame> NextAsync(CancellationToken cancellation)
    {
        await OpenAsync(cancellation);
        Assert.True(await _items!.MoveNextAsync().AsTask().WaitAsync(Patience, cancellation), "The stream has ended.");
        return JsonSerializer.Deserialize(_items.Current.Data, LiveJson.Default.LiveFrame)!;
    }

    // Does something again and again until a frame is as it should be.
    public async Task<LiveFrame> UntilAsync(Func<LiveFrame, bool> isIt, Func<Task>? doing, CancellationToken cancellation)
    {
        for (int i = 0; i < 120; i++)
        {
            if (doing is not null) await doing();
            LiveFrame frame = await NextAsync(cancellation);
            if (isIt(frame)) return frame;
        }

        Assert.Fail("No frame was as it should have been.");
        return null!;
    }

    public async Task<LiveStage> StageAsync(string name, Func<LiveStage, bool> isIt, Func<Task> doing, CancellationToken cancellation)
    {
        LiveFrame found = await UntilAsync(frame => isIt(frame.Stages.Single(stage => stage.Name == name)), doing, cancellation);
        return found.Stages.Single(stage => stage.Name == name);
    }

    public async Task<bool> HasEndedAsync(CancellationToken cancellation)
    {
        while (await _items!.MoveNextAsync().AsTask().WaitAsync(Patience, cancellation))
        {
            // What was sent before the end.
        }

        return true;
    }

    public async ValueTask DisposeAsync()
    {
        if (_response is null) return;
        _response.Dispose();
        try
        {
            await _items!.DisposeAsync();
        }
        catch (Exception fault) when (fault is IOException or ObjectDisposedException)
        {
            // It was cut off.
        }

        _response = null;
    }

    private async Task OpenAsync(CancellationToken cancellation)
    {
        if (_items is not null) return;
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/live");
        request.Headers.Accept.ParseAdd("text/event-stream");
        _response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
        _response.EnsureSuccessStatusCode();
        _items = SseParser.Create(await _response.Content.ReadAsStreamAsync(cancellation)).EnumerateAsync(cancellation).GetAsyncEnumerator(cancellation);
    }
}
