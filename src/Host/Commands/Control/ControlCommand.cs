using System.CommandLine;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Control;

namespace ZeroFlow.Host.Commands.Control;

/// <summary>What a command works with.</summary>
internal sealed record ControlSession(ControlClient Client, ControlOutput Output, ParseResult Parsed);

/// <summary>
/// A command that asks a running server: it finds the server and the token, and turns what goes wrong into one sentence
/// and an exit code.
/// </summary>
internal class ControlCommand : Command
{
    private const string DefaultAddress = "127.0.0.1:10810";
    private const string AddressVariable = "ZEROFLOW_ADMIN";
    private const string TokenVariable = "ZEROFLOW_ADMIN_TOKEN";
    private const string TokenFileVariable = "ZEROFLOW_ADMIN_TOKEN_FILE";

    private readonly Option<string> _admin = new("--admin")
    {
        HelpName = "HOST:PORT|unix:PATH",
        Description = $"Admin address or admin socket of the server [default: {AddressVariable}, or {DefaultAddress}]",
    };

    private readonly Option<string> _tokenFile = new("--admin-token-file")
    {
        HelpName = "FILE",
        Description = $"File with the token [default: {TokenVariable} is the token itself, {TokenFileVariable} names a file]",
    };

    private readonly Option<string> _data = new("--data")
    {
        HelpName = "DIR",
        Description = $"The server's data directory, whose {AdminToken.FileName} is used unless a token is named "
            + "[default: ./zeroflow-data/data]",
    };

    private readonly Option<string?> _timeout = new("--timeout")
    {
        HelpName = "TIME",
        Description = "How long each request may wait, such as 30s; a change that was begun takes effect all the same "
            + "[default: as long as the bucket takes]",
    };

    private readonly Option<bool> _json = new("--json") { Description = "Print JSON, as the API answers it." };

    /// <summary>Makes a command that has no action yet.</summary>
    public ControlCommand(string name, string description)
        : base(name, description)
    {
        Add(_admin);
        Add(_tokenFile);
        Add(_data);
        Add(_timeout);
        Add(_json);
    }

    /// <summary>Sets what the command does.</summary>
    public void Does(Func<ControlSession, CancellationToken, Task> action) =>
        SetAction((parsed, cancellation) => RunAsync(parsed, action, cancellation));

    /// <summary>A size as text; an error when it is none.</summary>
    public static long SizeOf(string text) => Quantities.TryParseSize(text, out long size)
        ? size
        : throw new RefusedException(HttpStatusCode.BadRequest, $"The size {text} is not a number of bytes, with K, M, G or T for 1024 each.");

    private async Task<int> RunAsync(
        ParseResult parsed, Func<ControlSession, CancellationToken, Task> action, CancellationToken cancellation)
    {
        InvocationConfiguration console = parsed.InvocationConfiguration;
        string text = parsed.GetValue(_admin) ?? Environment.GetEnvironmentVariable(AddressVariable) ?? DefaultAddress;
        if (!AdminAddress.TryParse(text, out AdminAddress? address))
        {
            await console.Error.WriteLineAsync($"zeroflow: The admin address {text} is not {AdminAddress.Form}.");
            return ExitCodes.Usage;
        }

        try
        {
            using var client = new ControlClient(address, TokenOf(parsed), LimitOf(parsed));
            await action(new ControlSession(client, new ControlOutput(console.Output, parsed.GetValue(_json)), parsed), cancellation);
            return ExitCodes.Success;
        }
        catch (RefusedException refused)
        {
            await console.Error.WriteLineAsync($"zeroflow: {refused.Message}");
            return CodeOf(refused.Status);
        }
        catch (DamageFoundException found)
        {
            await console.Error.WriteLineAsync($"zeroflow: {found.Message}");
            return ExitCodes.DamageFound;
        }
        catch (HttpRequestException fault) when (fault.InnerException is SocketException { SocketErrorCode: SocketError.AccessDenied })
        {
            await console.Error.WriteLineAsync($"zeroflow: The admin socket {address.SocketPath ?? address.Text} is for its owner only.");
            return ExitCodes.NotAllowed;
        }
        catch (Exception fault) when (fault is HttpRequestException or JsonException)
        {
            await console.Error.WriteLineAsync(
                $"zeroflow: There is no ZeroFlow server to be reached at {address.Text}: {fault.Message.TrimEnd('.')}. Name its admin address with --admin.");
            return ExitCodes.StartFailed;
        }
        catch (TaskCanceledException fault) when (fault.InnerException is TimeoutException)
        {
            await console.Error.WriteLineAsync($"zeroflow: The server at {address.Text} does not answer.");
            return ExitCodes.StartFailed;
        }
        catch (IOException fault)
        {
            await console.Error.WriteLineAsync($"zeroflow: {fault.Message}");
            return ExitCodes.StartFailed;
        }
        catch (UnauthorizedAccessException fault)
        {
            await console.Error.WriteLineAsync($"zeroflow: {fault.Message}");
            return ExitCodes.NotAllowed;
        }
    }

    private TimeSpan? LimitOf(ParseResult parsed)
    {
        if (parsed.GetValue(_timeout) is not { } text) return null;
        return RequestLimit.TryParse(text, out TimeSpan limit)
            ? limit
            : throw new RefusedException(HttpStatusCode.BadRequest, $"The timeout {text} is not {RequestLimit.Form}.");
    }

    // What is named and not there is an error; that the default is not there is for the server to say, which may need none.
    private string? TokenOf(ParseResult parsed)
    {
        if (parsed.GetValue(_tokenFile) is { } named) return ReadToken(named);
        if (Environment.GetEnvironmentVariable(TokenVariable) is { Length: > 0 } token) return token;
        if (Environment.GetEnvironmentVariable(TokenFileVariable) is { Length: > 0 } file) return ReadToken(file);
        string data = parsed.GetValue(_data) ?? new EmbeddedDefault(Environment.CurrentDirectory).DataDirectory;
        return AdminToken.Read(Path.Combine(data, AdminToken.FileName));
    }

    private static string ReadToken(string file) =>
        AdminToken.Read(file) ?? throw new IOException($"The token file {file} does not exist.");

    private static int CodeOf(HttpStatusCode status) => status switch
    {
        HttpStatusCode.BadRequest => ExitCodes.Usage,
        HttpStatusCode.NotFound => ExitCodes.NotFound,
        HttpStatusCode.Conflict => ExitCodes.Conflict,
        HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => ExitCodes.NotAllowed,
        _ => ExitCodes.StartFailed,
    };
}
