using Microsoft.Extensions.Logging;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Chain;

/// <summary>What a takeover found and made.</summary>
/// <param name="State">The committed state; its epoch is the new writer's own.</param>
/// <param name="EndedEpoch">The epoch that the new writer's seal ended.</param>
/// <param name="EndedSession">The writer of that epoch: a WAL of this writer continues where the seal stands.</param>
internal sealed record TakeoverResult(StoreState State, uint EndedEpoch, Guid EndedSession);

/// <summary>
/// Makes this process the store's writer: walks to the end of the chain and puts a seal there, which ends the epoch of
/// whoever wrote before. Needs nothing but create-if-absent; no clock, no lease.
/// </summary>
internal sealed partial class Takeover
{
    // A busy writer takes numbers faster than they can be read one by one, so that the walk never sees a free one, or
    // never gets it. After this many numbers that it took first, a seal goes in further ahead, and further yet if the
    // writer has passed that, too: it is fenced there at the latest. If it stops before, the first free number is sealed
    // as always, and the one ahead lies behind that seal, unread.
    private const int LostRacesMax = 3;
    private const int NumbersAhead = 32;
    private const int NumbersAheadMax = 1 << 20;

    private readonly IObjectStore _objects;
    private readonly StoreKeys _keys;
    private readonly ChainWalker _walker;
    private readonly IEntropy _entropy;
    private readonly TimeProvider _time;
    private readonly ILogger _log;

    public Takeover(
        IObjectStore objects, StoreKeys keys, ChainWalker walker, IEntropy entropy, TimeProvider time, ILogger log)
    {
        _objects = objects;
        _keys = keys;
        _walker = walker;
        _entropy = entropy;
        _time = time;
        _log = log;
    }

    /// <summary>Takes over.</summary>
    /// <param name="session">The random identity of the new term.</param>
    /// <param name="recordIntent">
    /// Called before a seal is put, with the writer whose epoch it ends and the new epoch: a WAL of that writer notes what
    /// it is about to become, so that a crash between the two leaves it able to prove that the seal is its own.
    /// </param>
    /// <param name="cancellation">Gives up; a seal that was put stays.</param>
    public async Task<TakeoverResult> RunAsync(Guid session, Action<WriterTerm, uint> recordIntent, CancellationToken cancellation)
    {
        while (true)
        {
            StoreState state = await _walker.WalkAsync(cancellation);
            try
            {
                TakeoverResult? result = await SealAtEndAsync(state, session, recordIntent, cancellation);
                if (result is not null) return result;
            }
            catch (ObjectStoreException gone) when (gone.Kind == ObjectStoreErrorKind.ObjectMissing)
            {
                // Deleted between its listing and its reading: a living writer's garbage collection is ahead.
                LogOvertaken(state.Position.ToString(), gone.Message);
            }
        }
    }

    // Null when a living writer's garbage collection invalidated what was walked: start over.
    private async Task<TakeoverResult?> SealAtEndAsync(
        StoreState state, Guid session, Action<WriterTerm, uint> recordIntent, CancellationToken cancellation)
    {
        int lost = 0;
        int distance = NumbersAhead;
        ulong sealAhead = 0;
        while (true)
        {
            ChainPosition at = state.Position.NextNumber;
            switch (await _walker.Reader.TryReadAsync(at, cancellation))
            {
                case ChainObject.Table table:
                    state.Apply(table.Info, table.Index, table.Session);
                    if (++lost % LostRacesMax == 0) await FenceAheadAsync(at);
                    continue;
                case ChainObject.Seal seal when seal.Identity.Session != session:
                    LogOtherSeal(at.ToString(), seal.Identity.Session);
                    state.EndEpoch(seal.Identity.Session);
                    (lost, sealAhead) = (0, 0);
                    continue;
                case null:
                    recordIntent(new WriterTerm(at.Epoch, state.Session), at.Epoch + 1);

                    // Created or not, the next read says what stands there; a lost reply shows as our own seal.
                    if (await TrySealAsync(at, session, cancellation)) break;
                    if (++lost % LostRacesMax == 0) await FenceAheadAsync(at);
                    continue;
                default:
                    break;
            }

            if (await IsOvertakenAsync(state, cancellation)) return null;
            var result = new TakeoverResult(state, state.Position.Epoch, state.Session);
            state.EndEpoch(session);
            LogTaken(state.Position.Epoch, at.ToString());
            return result;
        }

        async Task FenceAheadAsync(ChainPosition at)
        {
            // One that stands ahead is reached: the writer makes no table behind it.
            if (at.Number < sealAhead) return;
            recordIntent(new WriterTerm(at.Epoch, state.Session), at.Epoch + 1);
            ulong number = at.Number + (ulong)distance;
            if (await TrySealAsync(at with { Number = number }, session, cancellation)) sealAhead = number;
            else distance = Math.Min(distance * 2, NumbersAheadMax);
        }
    }

    private Task<bool> TrySealAsync(ChainPosition at, Guid session, CancellationToken cancellation)
    {
        byte[] salt = new byte[TableIdentity.SaltBytes];
        _entropy.Fill(salt);
        byte[] body = SealObject.Create(_keys, at, session, salt, _time.GetUtcNow().ToUnixTimeMilliseconds());
        return _objects.TryCreateAsync(ChainNames.Table(at), body, cancellation);
    }

    // A table that garbage collection deleted leaves its name free, and a seal put there stands in the past: this one, or
    // one that an earlier takeover left behind. And the pages of a checkpoint that has been replaced are deleted, though
    // the tables behind it are there. Either goes only after a newer checkpoint is stored: so the walk led to the true end,
    // and on pages that stay, if it began at the newest checkpoint that there is behind the seal.
    private async Task<bool> IsOvertakenAsync(StoreState state, CancellationToken cancellation) =>
        await _walker.FindNewestCheckpointAsync(cancellation) is { } newest && newest > state.StartedFrom;

    [LoggerMessage(Level = LogLevel.Information, Message = "This server writes epoch {Epoch}; its seal stands at {Position}.")]
    private partial void LogTaken(uint epoch, string position);

    [LoggerMessage(Level = LogLevel.Information, Message = "The takeover at {Position} was overtaken by garbage collection ({Reason}) and starts over.")]
    private partial void LogOvertaken(string position, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Another server ({Session}) took the store over at {Position}; taking over from it.")]
    private partial void LogOtherSeal(string position, Guid session);
}
