using System.Net;
using System.Text.Json;
using ZeroFlow.Host.Commands.Control;
using ZeroFlow.Host.Live;

namespace ZeroFlow.Host.Commands.Top;

/// <summary>
/// Follows a server's frames, and goes on when it is back after it was away. Written by one loop, read by another.
/// </summary>
internal sealed class TopFrames(ControlClient client, TimeProvider time)
{
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(6);
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    private volatile LiveFrame? _newest;
    private volatile string? _trouble;

    /// <summary>What the server said last; null before it has said anything.</summary>
    public LiveFrame? Newest => _newest;

    /// <summary>Why it says nothing; null while it does. One sentence.</summary>
    public string? Trouble => _trouble;

    /// <summary>Follows until cancelled.</summary>
    /// <exception cref="RefusedException">The server will not show it, now or later.</exception>
    public async Task FollowAsync(CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                await ReadAsync(cancellation);
                _trouble = "The server has ended the connection.";
            }
            catch (RefusedException refused) when (refused.Status is not (HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden or HttpStatusCode.NotFound))
            {
                _trouble = refused.Message;
            }
            catch (Exception fault) when (fault is HttpRequestException or IOException or JsonException)
            {
                _trouble = $"It cannot be reached: {fault.Message.TrimEnd('.')}.";
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                _trouble = "It says nothing any more.";
            }

            await Task.Delay(Pause, time, cancellation);
        }
    }

    /// <summary>Reads a frame as it was sent.</summary>
    /// <exception cref="JsonException">It is of another version than this program.</exception>
    public static LiveFrame Parse(string json)
    {
        LiveFrame frame = JsonSerializer.Deserialize(json, LiveJson.Default.LiveFrame) ?? throw new JsonException("The server answered null.");
        return frame.Version == LiveFrame.CurrentVersion ? frame
            : throw new JsonException($"The server's live view is of version {frame.Version}, and this program knows {LiveFrame.CurrentVersion}");
    }

    private async Task ReadAsync(CancellationToken cancellation)
    {
        using var silent = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        silent.CancelAfter(Silence);
        await foreach (string json in client.WatchAsync(LiveEndpoint.FeedPath.TrimStart('/'), silent.Token))
        {
            silent.CancelAfter(Silence);
            _newest = Parse(json);
            _trouble = null;
        }
    }
}
